#pragma once

#include "entity/route.h"

namespace gateway::router {

/// True when the route is for encrypted connections only. Such a route matches plain ones too, so that the
/// client can be told to come back with HTTPS (Kong 3.9, https_redirect_status_code).
[[nodiscard]] constexpr bool needs_https(const entity::Route& route) noexcept {
  using entity::Protocol;
  const auto allows = [&](Protocol protocol) { return (route.protocols & entity::bit(protocol)) != 0; };
  if (allows(Protocol::http)) return false;
  // As Kong: "https" without "http" decides before gRPC is looked at.
  return allows(Protocol::https) || (allows(Protocol::grpcs) && !allows(Protocol::grpc));
}

}  // namespace gateway::router
