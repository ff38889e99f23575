#include "router/rank.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "router/compiled_route.h"

namespace gateway::router {
namespace {

struct Hosts {
  bool plain_only = false;
  bool wildcard_with_port = false;
};

Hosts classify(const entity::Route& route) noexcept {
  Hosts hosts{.plain_only = !route.hosts.empty()};
  for (const std::string& host : route.hosts) {
    if (host.find('*') == std::string::npos) continue;
    hosts.plain_only = false;
    if (split_port(host).port != 0) hosts.wildcard_with_port = true;
  }
  return hosts;
}

// Kong 3.9, router/transform.lua: 3 bits attributes, 1 plain hosts only, 8 headers, 1 regex, 32 regex_priority,
// 19 prefix length.
Rank compatible(std::uint64_t attributes, Hosts hosts, std::uint64_t headers, std::int64_t regex_priority, bool regex, std::size_t prefix_length,
                bool websocket) noexcept {
  // Lower numbers than 0 have no place in the layout.
  const auto priority = static_cast<std::uint64_t>(std::clamp<std::int64_t>(regex_priority, 0, std::numeric_limits<std::uint32_t>::max()));
  return {attributes << 61 | std::uint64_t{hosts.plain_only} << 60 | headers << 52 | std::uint64_t{regex} << 51 | (regex ? priority << 19 : 0) |
              std::min<std::uint64_t>(prefix_length, 0x7FFFF),
          websocket};
}

// Kong 3.9, router/traditional.lua: category, then the order inside it.
Rank traditional(std::uint64_t attributes, std::uint64_t category, Hosts hosts, std::uint64_t headers, std::int64_t regex_priority, bool regex,
                 std::size_t prefix_length, bool websocket, std::int64_t created_at) noexcept {
  const std::uint64_t weight = std::uint64_t{hosts.wildcard_with_port} << 2 | std::uint64_t{hosts.plain_only} << 1 | std::uint64_t{regex};
  constexpr std::int64_t middle = std::int64_t{1} << 31;
  const auto priority = static_cast<std::uint64_t>(std::clamp<std::int64_t>(regex_priority, -middle, middle - 1) + middle);
  constexpr std::int64_t last = (std::int64_t{1} << 43) - 1;  // 2248 in milliseconds: either unit fits
  const auto age = static_cast<std::uint64_t>(last - std::clamp<std::int64_t>(created_at, 0, last));
  return {attributes << 61 | category << 54 | weight << 51 | headers << 43 | (regex ? priority : 0),
          std::min<std::uint64_t>(prefix_length, 0xFFFFF) << 44 | std::uint64_t{websocket} << 43 | age};
}

}  // namespace

Rank rank(const entity::Route& route, bool regex, std::size_t prefix_length, Flavour flavour) noexcept {
  const std::uint64_t category = (route.hosts.empty() ? 0U : 0x40U) | (route.headers.empty() ? 0U : 0x20U) | (route.paths.empty() ? 0U : 0x10U) |
                                 (route.methods.empty() ? 0U : 0x08U) | (route.snis.empty() ? 0U : 0x04U);
  const auto attributes = static_cast<std::uint64_t>(std::popcount(category));
  const auto headers = std::min<std::uint64_t>(route.headers.size(), 255);
  const Hosts hosts = classify(route);
  // What is for WebSockets alone goes before what takes them as well, all else being equal.
  const bool websocket = (route.protocols & entity::websocket_protocols) != 0;
  if (flavour == Flavour::traditional) {
    return traditional(attributes, category, hosts, headers, route.regex_priority, regex, prefix_length, websocket, route.created_at);
  }
  return compatible(attributes, hosts, headers, route.regex_priority, regex, prefix_length, websocket);
}

}  // namespace gateway::router
