#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "net/address.h"

namespace gateway::net {

/// What a PROXY protocol header says of a connection.
struct ProxyHeader {
  enum class State { incomplete, complete, malformed };
  State state = State::incomplete;
  std::size_t size = 0;  ///< of the header, where it is complete
  /// Whom the proxy speaks for; null when it speaks for itself (LOCAL) or does not say (UNKNOWN).
  std::optional<SocketAddress> source;
  std::optional<SocketAddress> destination;
};

/// Longest header that is read: version 2 carries extensions.
inline constexpr std::size_t max_proxy_header_bytes = 16 + 4096;

/// Reads a header of version 1 or 2 at the start of `bytes`. Source: HAProxy, proxy-protocol.txt, 2.1 and 2.2.
[[nodiscard]] ProxyHeader parse_proxy_header(std::string_view bytes);

/// A version 2 header, for a hop that wants to be told.
[[nodiscard]] std::string write_proxy_header(const SocketAddress& source, const SocketAddress& destination);

}  // namespace gateway::net
