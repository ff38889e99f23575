#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/address.h"

namespace gateway::tls {
class ClientContext;
}

namespace gateway::proxy {

struct Request;

/// Where a request goes: to its service, or where a plugin sends it instead. Lives as long as the request.
struct Place {
  const std::string* host = nullptr;  ///< an upstream's name, a host's name or an address
  std::uint16_t port = 0;             ///< of no use where `host` is an upstream
  std::string_view host_header;
  const net::SocketAddress* literal = nullptr;  ///< where `host` is an address
  const std::shared_ptr<const tls::ClientContext>* tls = nullptr;
};

/// Fills in the request's place, and the path that holds there. Once all plugins have spoken.
void find_place(Request& request);

}  // namespace gateway::proxy
