#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "upstream/balancing/ring_hash.h"
#include "upstream/balancing/test_peers.h"

namespace {
// Of this thread, while they are counted.
thread_local bool counting = false;
thread_local int allocations = 0;
}  // namespace

// Not inlined, or the compiler sees free() meet what it takes for the library's own operator new.
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (counting) ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  if (counting) ++allocations;
  return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace gateway::upstream {
namespace {

TEST(Allocations, APickAndWhatItLeadsToTakeNoMemory) {
  using entity::Algorithm;
  entity::Upstream upstream;
  upstream.health.threshold = 10;
  upstream.health.passive = {{200}, {500}, 200, 200, 200, 200};
  upstream.outliers.emplace();
  for (const Algorithm algorithm : {Algorithm::round_robin, Algorithm::consistent_hashing, Algorithm::least_connections, Algorithm::latency}) {
    for (const std::size_t count : {std::size_t{3}, std::size_t{1000}}) {
      const TestBalancer among(algorithm, std::vector<unsigned>(count, 100), upstream);
      const PeerState* tried[] = {among.pick()->state.get()};
      allocations = 0;
      counting = true;
      for (int i = 0; i < 100; ++i) {
        const Peer* peer = among.balancer->pick(ring_hash("somebody"), tried);
        among.balancer->answered(*peer, i % 2 == 0 ? 200 : 500, std::chrono::milliseconds(1));
        among.balancer->failed(*peer, Event::timeout);
      }
      counting = false;
      EXPECT_EQ(allocations, 0) << static_cast<int>(algorithm) << " of " << count;
    }
  }
}

}  // namespace
}  // namespace gateway::upstream
