#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "entity/route.h"
#include "entity/service.h"
#include "plugin/exchange.h"

namespace gateway::plugin {

/// One connection of a stream route, or one UDP session, as plugins see it. Views live as long as the phase.
struct StreamSession {
  std::string_view client_ip;  ///< effective address (PROXY protocol of trusted_ips), no port; "unix:" for unix sockets
  std::uint16_t client_port = 0;
  std::uint16_t server_port = 0;  ///< of the listener, after port_maps
  std::string_view sni;           ///< empty: none was sent
  std::string_view tls_version;   ///< of the TLS that ends here; empty: none does
  std::string_view tls_cipher;
  System::time_point started;
  const entity::Route* route = nullptr;      ///< null when none matched
  const entity::Service* service = nullptr;  ///< null when the route has none
};

/// Why a stream goes no further than preread.
struct Refusal {
  unsigned status = 403;  ///< 200, 400, 403, 500, 502 or 503
  std::string text;       ///< what the client is told before it is closed; only with a status below 400 (contract, pdk.md)
};

/// What happened to a stream, complete: for the log phase.
struct StreamRecord {
  explicit StreamRecord(const StreamSession& of) : session(of) {}

  const StreamSession& session;
  unsigned status = 0;
  std::uint64_t received = 0;                 ///< bytes from the client
  std::uint64_t sent = 0;                     ///< bytes to the client
  std::chrono::milliseconds kong_latency{0};  ///< until the service was turned to; without one, all of it
  std::chrono::milliseconds session_latency{0};
  std::span<const Try> tries;
};

}  // namespace gateway::plugin
