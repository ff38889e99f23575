#pragma once

#include <chrono>

namespace gateway::net {

/// How the kernel looks whether the other side of a quiet connection is still there (SO_KEEPALIVE). Zero: as the system does.
struct KeepAlive {
  bool on = true;
  std::chrono::seconds idle{0};
  std::chrono::seconds interval{0};
  int count = 0;

  friend bool operator==(const KeepAlive&, const KeepAlive&) = default;
};

/// Whether a socket on an IPv6 address takes IPv4 as well.
enum class Ipv6Only : bool { no, yes };

}  // namespace gateway::net
