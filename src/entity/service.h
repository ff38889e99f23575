#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/uuid.h"
#include "entity/route.h"

namespace gateway::entity {

/// An upstream API: where requests go. Kong 3.9 entity `services`.
struct Service {
  Uuid id;
  std::string name;  ///< empty when unset
  Protocol protocol = Protocol::http;
  std::string host;
  std::uint16_t port = 80;
  std::string path;  ///< empty when unset
  unsigned retries = 5;
  std::chrono::milliseconds connect_timeout{60000};
  std::chrono::milliseconds write_timeout{60000};
  std::chrono::milliseconds read_timeout{60000};
  bool enabled = true;
  bool http2 = false;  ///< it is spoken to over HTTP/2

  // Towards the service, over TLS.
  std::optional<Uuid> client_certificate;  ///< what the gateway shows; unset: the upstream's, or the node's
  std::optional<bool> tls_verify;          ///< whether the service's certificate is checked; unset: as the node does
  std::optional<unsigned> tls_verify_depth;
  std::vector<Uuid> ca_certificates;  ///< who its certificate may come from; empty: whom the node trusts

  std::string document;  ///< the whole row as JSON, for log records

  /// From a validated document, as the store keeps it.
  static Service from_json(const nlohmann::json& document);
};

/// What Host says to a place: the port only where it is not the protocol's own.
[[nodiscard]] std::string host_header(Protocol protocol, std::string_view host, std::uint16_t port);

}  // namespace gateway::entity
