#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/address.h"
#include "net/keep_alive.h"

namespace gateway::app {

/// One place to listen at.
struct Listen {
  net::SocketAddress address;
  int backlog = 511;
  bool tls = false;
  bool http2 = false;
  bool proxy_protocol = false;
  bool udp = false;
  net::Ipv6Only ipv6_only = net::Ipv6Only::yes;
  std::optional<net::KeepAlive> keep_alive;
};

/// What is spoken there: each has flags that the other has not.
enum class ListenFor { http, streams };

/// "0.0.0.0:8000 reuseport backlog=16384, [::1]:8000, unix:/run/sluice.sock" or "off".
/// Errors: text that says what the form is. Source: Kong 3.9, listen directives; unix sockets are ours.
[[nodiscard]] Result<std::vector<Listen>> parse_listen(std::string_view name, std::string_view text, ListenFor what = ListenFor::http);

}  // namespace gateway::app
