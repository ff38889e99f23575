#pragma once

#include <string_view>

#include "http/headers.h"

namespace gateway::proxy {

// The handshake of WebSocket over HTTP/1.1 has a key and what accepts it, the one over HTTP/2 neither (RFC 8441, 5): where the
// two sides speak different versions they are ours to make.

constexpr std::string_view websocket_key_header = "Sec-WebSocket-Key";

/// A key of our own. In the arena. Source: RFC 6455, 4.1.
[[nodiscard]] std::string_view websocket_key(http::Arena& arena);

/// What accepts a key. In the arena. Source: RFC 6455, 4.2.2.
[[nodiscard]] std::string_view websocket_accept(std::string_view key, http::Arena& arena);

}  // namespace gateway::proxy
