#include "router/table.h"

#include <benchmark/benchmark.h>

#include <map>
#include <random>

#include "router/test_route.h"
#include "router/upstream_path.h"

namespace gateway::router {
namespace {

enum class Shape { host_and_path, path, shared_host, regex };

std::string host(Shape shape, int i) {
  if (shape == Shape::path) return "";
  return shape == Shape::host_and_path ? "tenant-" + std::to_string(i) + ".example.com" : "api.example.com";
}
std::string path(int i) { return "/services/" + std::to_string(i) + "/v1"; }

std::shared_ptr<const entity::Route> route(Shape shape, int i) {
  entity::Route route = Spec{}.route();
  for (std::size_t k = 0; k < 4; ++k) route.id.bytes[k] = static_cast<std::uint8_t>(i >> (8 * k));
  if (shape != Shape::path) route.hosts = {host(shape, i)};
  route.paths = {shape == Shape::regex ? "~/services/" + std::to_string(i) + "/v\\d+" : path(i)};
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
  std::mt19937 random(1);
  std::vector<std::pair<std::string, std::string>> requests;
  for (int i = 0; i < 1024; ++i) {
    const int n = static_cast<int>(random() % static_cast<unsigned>(count));
    requests.emplace_back(shape == Shape::path ? "any.example.com" : host(shape, n), path(n) + "/items/17");
  }
  std::size_t at = 0;
  for (auto _ : state) {
    const auto& [authority, asked] = requests[at++ % requests.size()];
    const auto match = routes.match({"GET", authority, asked, {}, false, 8000, headers});
    if (!match) return state.SkipWithError("no match");
    benchmark::DoNotOptimize(match->route);
  }
}
BENCHMARK_CAPTURE(lookup, host_and_path, Shape::host_and_path)->Arg(100)->Arg(10'000)->Arg(100'000);
BENCHMARK_CAPTURE(lookup, path, Shape::path)->Arg(100)->Arg(10'000)->Arg(100'000);
BENCHMARK_CAPTURE(lookup, shared_host, Shape::shared_host)->Arg(100)->Arg(10'000)->Arg(100'000);
BENCHMARK_CAPTURE(lookup, regex, Shape::regex)->Arg(100)->Arg(10'000)->Arg(100'000);

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
