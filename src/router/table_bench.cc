#include "router/table.h"

#include <benchmark/benchmark.h>

#include <map>
#include <random>

#include "router/test_route.h"
#include "router/upstream_path.h"

namespace gateway::router {
namespace {

/// In what the routes of a set differ.
enum class Shape { host_and_path, path, shared_host, regex, regex_behind, host, wildcard_host, header_name, header_value, nothing };

std::string host(Shape shape, int i) {
  if (shape == Shape::path) return "";
  const bool own = shape == Shape::host_and_path || shape == Shape::host || shape == Shape::wildcard_host;
  return own ? "tenant-" + std::to_string(i) + ".example.com" : "api.example.com";
}
std::string path(Shape shape, int i) {
  const std::string n = std::to_string(i);
  switch (shape) {
    case Shape::host_and_path:
    case Shape::path:
    case Shape::shared_host:
    case Shape::regex: return "/services/" + n + "/v1";
    case Shape::regex_behind: return "/services/17/items-" + n;
    default: return "/services/v1";
  }
}
std::string header(Shape shape, int i) { return shape == Shape::header_name ? "x-" + std::to_string(i) : "x-tenant"; }

std::shared_ptr<const entity::Route> route(Shape shape, int i) {
  const std::string n = std::to_string(i);
  entity::Route route = Spec{}.route();
  for (std::size_t k = 0; k < 4; ++k) route.id.bytes[k] = static_cast<std::uint8_t>(i >> (8 * k));
  if (shape != Shape::path) route.hosts = {shape == Shape::wildcard_host ? "*." + host(shape, i) : host(shape, i)};
  route.paths = {path(shape, i)};
  if (shape == Shape::regex) route.paths = {"~/services/" + n + "/v\\d+"};
  if (shape == Shape::regex_behind) route.paths = {"~/services/\\d+/items-" + n + "$"};
  if (shape == Shape::header_name || shape == Shape::header_value) route.headers = {{header(shape, i), {n}}};
  return std::make_shared<const entity::Route>(std::move(route));
}

const Table& table(Shape shape, int count) {
  static std::map<std::pair<Shape, int>, Table> tables;
  auto [at, added] = tables.try_emplace({shape, count});
  if (added) {
    for (int i = 0; i < count; ++i) at->second.set(route(shape, i));
  }
  return at->second;
}

// Requests for every route with equal chance: the least kind to caches.
void lookup(benchmark::State& state, Shape shape) {
  const int count = static_cast<int>(state.range(0));
  const Table& routes = table(shape, count);
  http::Arena arena;
  http::Headers headers(arena);
  headers.add("user-agent", "bench");
  headers.add("x-tenant", "");
  http::Header& own = *(headers.end() - 1);
  struct Asked {
    std::string host, path, header, value;
  };
  std::mt19937 random(1);
  std::vector<Asked> requests;
  for (int i = 0; i < 1024; ++i) {
    const int n = static_cast<int>(random() % static_cast<unsigned>(count));
    const std::string beginning = shape == Shape::path ? "any." : shape == Shape::wildcard_host ? "www." : "";
    requests.push_back({beginning + host(shape, n), path(shape, n) + (shape == Shape::regex_behind ? "" : "/items/17"), header(shape, n), std::to_string(n)});
  }
  std::size_t at = 0;
  for (auto _ : state) {
    const Asked& asked = requests[at++ % requests.size()];
    own.name = asked.header;
    own.value = asked.value;
    const auto match = routes.match({"GET", asked.host, asked.path, {}, false, 8000, headers});
    if (!match) return state.SkipWithError("no match");
    benchmark::DoNotOptimize(match->route);
  }
}
BENCHMARK_CAPTURE(lookup, host_and_path, Shape::host_and_path)->Arg(100)->Arg(10'000)->Arg(100'000);
BENCHMARK_CAPTURE(lookup, path, Shape::path)->Arg(100)->Arg(10'000)->Arg(100'000);
BENCHMARK_CAPTURE(lookup, shared_host, Shape::shared_host)->Arg(100)->Arg(10'000)->Arg(100'000);
BENCHMARK_CAPTURE(lookup, regex, Shape::regex)->Arg(100)->Arg(10'000)->Arg(100'000);
BENCHMARK_CAPTURE(lookup, regex_behind, Shape::regex_behind)->Arg(100)->Arg(10'000)->Arg(100'000);
BENCHMARK_CAPTURE(lookup, host, Shape::host)->Arg(100)->Arg(10'000)->Arg(100'000);
BENCHMARK_CAPTURE(lookup, wildcard_host, Shape::wildcard_host)->Arg(100)->Arg(10'000)->Arg(100'000);
BENCHMARK_CAPTURE(lookup, header_name, Shape::header_name)->Arg(100)->Arg(10'000)->Arg(100'000);
BENCHMARK_CAPTURE(lookup, header_value, Shape::header_value)->Arg(100)->Arg(10'000)->Arg(100'000);
BENCHMARK_CAPTURE(lookup, nothing, Shape::nothing)->Arg(100)->Arg(10'000)->Arg(100'000);

void change_a_copy(benchmark::State& state, Shape shape) {
  const int count = static_cast<int>(state.range(0));
  const Table& routes = table(shape, count);
  int i = 0;
  for (auto _ : state) {
    Table copy = routes;
    copy.set(route(shape, i++ * 7919 % count));
    benchmark::DoNotOptimize(copy.size());
  }
}
BENCHMARK_CAPTURE(change_a_copy, host_and_path, Shape::host_and_path)->Arg(100)->Arg(100'000)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(change_a_copy, path, Shape::path)->Arg(100'000)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(change_a_copy, regex_behind, Shape::regex_behind)->Arg(100'000)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(change_a_copy, header_name, Shape::header_name)->Arg(100'000)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(change_a_copy, nothing, Shape::nothing)->Arg(100'000)->Unit(benchmark::kMicrosecond);

void build(benchmark::State& state) {
  for (auto _ : state) {
    Table routes;
    for (int i = 0; i < 100'000; ++i) routes.set(route(Shape::host_and_path, i));
    benchmark::DoNotOptimize(routes.size());
  }
}
BENCHMARK(build)->Unit(benchmark::kMillisecond)->Iterations(1);

void upstream(benchmark::State& state) {
  std::byte buffer[4096];
  const entity::Route taken;
  const std::string asked = "/services/17/v1/items/17";
  Match match;
  match.path_matched = true;
  match.matched_path = std::string_view(asked).substr(0, 15);
  for (auto _ : state) {
    http::Arena arena(buffer, sizeof buffer);
    benchmark::DoNotOptimize(upstream_path("/base", taken, asked, match, Flavour::traditional_compatible, arena));
  }
}
BENCHMARK(upstream);

}  // namespace
}  // namespace gateway::router
