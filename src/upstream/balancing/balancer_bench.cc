// What a pick costs, among few peers and among many.
#include "upstream/balancing/balancer.h"

#include <benchmark/benchmark.h>

#include "upstream/balancing/test_peers.h"

namespace gateway::upstream {
namespace {

using entity::Algorithm;

const TestBalancer& balancer(Algorithm algorithm, std::int64_t count) {
  static std::map<std::pair<Algorithm, std::int64_t>, std::unique_ptr<TestBalancer>> balancers;
  std::unique_ptr<TestBalancer>& one = balancers[{algorithm, count}];
  if (!one) {
    one = std::make_unique<TestBalancer>(algorithm, std::vector<unsigned>(static_cast<std::size_t>(count), 100));
    // As in use: something is known of all, and each has something to do.
    for (std::int64_t i = 0; i < count; ++i) {
      one->state(static_cast<std::size_t>(i)).observe(std::chrono::microseconds(1000 + i * 37 % 500));
      one->state(static_cast<std::size_t>(i)).in_flight = static_cast<std::uint32_t>(i * 7 % 5);
    }
  }
  return *one;
}

void pick(benchmark::State& state, Algorithm algorithm) {
  const TestBalancer& among = balancer(algorithm, state.range(0));
  std::uint32_t hash = 0;
  for (auto _ : state) {
    hash += 2654435761U;
    benchmark::DoNotOptimize(among.pick(hash));
  }
}

// The same where a tenth of the peers is down.
void pick_some_down(benchmark::State& state, Algorithm algorithm) {
  const TestBalancer& among = balancer(algorithm, state.range(0));
  for (std::int64_t i = 0; i < state.range(0); i += 10) among.state(static_cast<std::size_t>(i)).mark(false);
  pick(state, algorithm);
  for (std::int64_t i = 0; i < state.range(0); i += 10) among.state(static_cast<std::size_t>(i)).mark(true);
}

BENCHMARK_CAPTURE(pick, round_robin, Algorithm::round_robin)->Arg(10)->Arg(1000);
BENCHMARK_CAPTURE(pick, consistent_hashing, Algorithm::consistent_hashing)->Arg(10)->Arg(1000);
BENCHMARK_CAPTURE(pick, least_connections, Algorithm::least_connections)->Arg(10)->Arg(1000);
BENCHMARK_CAPTURE(pick, latency, Algorithm::latency)->Arg(10)->Arg(1000);
BENCHMARK_CAPTURE(pick_some_down, round_robin, Algorithm::round_robin)->Arg(10)->Arg(1000);
BENCHMARK_CAPTURE(pick_some_down, least_connections, Algorithm::least_connections)->Arg(10)->Arg(1000);

}  // namespace
}  // namespace gateway::upstream
