#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/uuid.h"

namespace gateway::entity {

enum class Protocol : std::uint8_t { http, https, grpc, grpcs, tcp, tls, tls_passthrough, udp, ws, wss };

/// A set of protocols: one bit each.
using Protocols = std::uint16_t;
[[nodiscard]] constexpr Protocols bit(Protocol protocol) noexcept { return static_cast<Protocols>(1U << static_cast<unsigned>(protocol)); }

/// Those in a row's field `protocols`.
[[nodiscard]] Protocols protocols_of(const nlohmann::json& document);

/// The two kinds of traffic: each has listeners, a router and phases of its own.
inline constexpr Protocols websocket_protocols = bit(Protocol::ws) | bit(Protocol::wss);
inline constexpr Protocols http_protocols = bit(Protocol::http) | bit(Protocol::https) | bit(Protocol::grpc) | bit(Protocol::grpcs) | websocket_protocols;
inline constexpr Protocols stream_protocols = bit(Protocol::tcp) | bit(Protocol::tls) | bit(Protocol::tls_passthrough) | bit(Protocol::udp);

/// Where a connection comes from or goes to: an address or a network, a port, or both.
struct Endpoint {
  std::string ip;  ///< "10.0.0.1" or "10.0.0.0/8"; empty: any
  std::optional<std::uint16_t> port;
};

enum class PathHandling : std::uint8_t { v0, v1 };

/// What requests it takes and how their path changes. Kong 3.9 entity `routes`.
struct Route {
  Uuid id;
  std::string name;             ///< empty when unset
  std::int64_t created_at = 0;  ///< seconds; ties in the `traditional` flavour
  Protocols protocols = 0;
  std::vector<std::string> hosts;
  std::vector<std::string> paths;  ///< "~/..." is a regular expression
  std::vector<std::string> methods;
  std::vector<std::pair<std::string, std::vector<std::string>>> headers;  ///< names lower-cased
  std::vector<std::string> snis;
  std::vector<Endpoint> sources;       ///< of stream routes only
  std::vector<Endpoint> destinations;  ///< of stream routes only
  std::int64_t regex_priority = 0;
  unsigned https_redirect_status_code = 426;
  bool strip_path = true;
  bool preserve_host = false;
  bool request_buffering = true;
  bool response_buffering = true;
  PathHandling path_handling = PathHandling::v0;
  std::optional<Uuid> service;

  std::string document;  ///< the whole row as JSON, for log records

  /// From a validated document, as the store keeps it.
  static Route from_json(const nlohmann::json& document);
};

}  // namespace gateway::entity
