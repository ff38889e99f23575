#pragma once

#include <cstddef>
#include <cstdint>

#include "entity/route.h"
#include "router/query.h"

namespace gateway::router {

/// Which of two routes that both match wins: the one with the higher pair.
struct Rank {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
};

/// Of a route as seen through one of its paths. `prefix_length` is 0 for regular expressions and for no path.
[[nodiscard]] Rank rank(const entity::Route& route, bool regex, std::size_t prefix_length, Flavour flavour) noexcept;

}  // namespace gateway::router
