#pragma once

#include <string_view>

#include "entity/route.h"
#include "http/headers.h"
#include "router/query.h"

namespace gateway::router {

/// The path to ask the upstream for: the service's path and what strip_path leaves of the request's `path`
/// (normalised), put together as path_handling says and percent-escaped (Kong 3.9). path_handling v1 counts in
/// the traditional flavour only. The result lives as long as `arena` and the arguments.
[[nodiscard]] std::string_view upstream_path(std::string_view service_path, const entity::Route& route, std::string_view path, const Match& match,
                                             Flavour flavour, http::Arena& arena);

}  // namespace gateway::router
