#pragma once

#include <cstdint>
#include <string_view>

#include "entity/route.h"
#include "http/headers.h"
#include "router/regex.h"

namespace gateway::router {

/// Whose rules decide between routes that all match (Kong 3.9, router_flavor).
enum class Flavour : std::uint8_t { traditional_compatible, traditional };

/// What of a request the router looks at. Views need to live only as long as the look-up and its Match.
struct Query {
  std::string_view method;
  std::string_view authority;  ///< Host; may carry a port
  std::string_view path;       ///< normalised
  std::string_view sni;        ///< empty when the client sent none
  bool tls = false;
  std::uint16_t listener_port = 0;
  const http::Headers& headers;
  bool secure = false;     ///< of a WebSocket: it comes over TLS, as the client, or a trusted peer on its behalf, says
  bool websocket = false;  ///< it asks for a WebSocket
};

/// A route found. Valid as long as the Table it came from (or a copy that still has the route) and the query's path.
struct Match {
  const entity::Route* route = nullptr;
  std::string_view matched_path;  ///< the beginning of the path that strip_path takes off; view into Query::path
  bool path_matched = false;      ///< the route has paths
  bool regex = false;             ///< a regular expression matched
  Captures captures;              ///< of that regular expression
};

}  // namespace gateway::router
