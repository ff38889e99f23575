#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/address.h"

namespace gateway::app {

/// One place to listen at.
struct Listen {
  net::SocketAddress address;
  int backlog = 511;
  bool tls = false;
  bool http2 = false;
  bool proxy_protocol = false;
};

/// "0.0.0.0:8000 reuseport backlog=16384, [::1]:8000, unix:/run/sluice.sock" or "off".
/// Errors: text that says what the form is. Source: Kong 3.9, listen directives; unix sockets are ours.
[[nodiscard]] Result<std::vector<Listen>> parse_listen(std::string_view name, std::string_view text);

}  // namespace gateway::app
