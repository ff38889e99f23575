#pragma once

#include <cstdint>
#include <string_view>

#include "entity/route.h"

namespace gateway::router {

/// Whether a request came in a way its route allows (Kong 3.9, runloop access).
enum class Passage : std::uint8_t {
  allowed,
  needs_https,  ///< https_redirect_status_code
  needs_http2,  ///< 426: gRPC over an older HTTP
  needs_grpc,   ///< 415: something else for a gRPC route
  needs_grpcs,  ///< gRPC in the clear for an encrypted route: a gRPC status
};

/// What of a request decides about it. `https`: as the client, or a trusted peer on its behalf, says.
struct Arrival {
  bool https = false;
  bool http2 = false;
  std::string_view content_type{};
};

/// Such a route matches plain requests too, so that the client can be told how to come back.
[[nodiscard]] constexpr Passage passage(const entity::Route& route, const Arrival& arrival) noexcept {
  using entity::Protocol;
  const auto allows = [&](Protocol protocol) { return (route.protocols & entity::bit(protocol)) != 0; };
  // "https" without "http" decides before gRPC is looked at.
  if (allows(Protocol::https) && !allows(Protocol::http) && !arrival.https) return Passage::needs_https;
  if (!allows(Protocol::grpc) && !allows(Protocol::grpcs)) return Passage::allowed;
  if (!arrival.content_type.starts_with("application/grpc")) return Passage::needs_grpc;
  if (!arrival.http2) return Passage::needs_http2;
  return allows(Protocol::grpc) || arrival.https ? Passage::allowed : Passage::needs_grpcs;
}

}  // namespace gateway::router
