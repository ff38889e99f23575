#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gateway::tls {

/// What a client says first in TLS, read without answering it.
struct ClientHello {
  enum class State { incomplete, complete, malformed };
  State state = State::incomplete;
  std::string server_name;  ///< as the client spelled it; empty when it named nobody
};

/// Longest greeting that is read, with the heads of its records. Real ones have a few hundred bytes, with post-quantum
/// keys some two thousand.
inline constexpr std::size_t max_client_hello_bytes = 16384;

/// Reads a ClientHello at the start of `bytes`, be it in one record or in several. Bytes that cannot begin one are malformed
/// as soon as they are there, as is one that would be too long.
/// Source: RFC 8446, sections 4.1.2 and 5.1; RFC 5246, section 7.4.1.2; RFC 6066, section 3.
[[nodiscard]] ClientHello parse_client_hello(std::string_view bytes);

}  // namespace gateway::tls
