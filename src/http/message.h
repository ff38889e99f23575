#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/headers.h"

namespace gateway::http {

enum class Version : std::uint8_t { http_1_0, http_1_1, http_2 };

/// How the end of a message body is known (RFC 9112, 6.3).
struct Framing {
  enum class Kind : std::uint8_t { none, length, chunked, until_close };
  Kind kind = Kind::none;
  std::uint64_t length = 0;  ///< of Kind::length
};

/// A request's head. Views live as long as the request.
struct RequestHead {
  explicit RequestHead(Arena& arena) : headers(arena) {}

  std::string_view method;     ///< "GET"
  std::string_view target;     ///< as it came: origin form, or "*"; an absolute form is already reduced
  std::string_view path;       ///< target before '?'
  std::string_view query;      ///< after '?', empty when none
  bool has_query = false;      ///< tells "/a?" from "/a"
  std::string_view authority;  ///< Host, or the authority of an absolute-form target; may carry a port
  Version version = Version::http_1_1;
  Headers headers;
  Framing framing;
  bool keep_alive = true;  ///< what the client asked for; we may still close
  bool expects_continue = false;
  bool upgrade_websocket = false;
};

/// A response's head, from an upstream.
struct ResponseHead {
  explicit ResponseHead(Arena& arena) : headers(arena) {}

  unsigned status = 0;
  std::string_view reason;
  Version version = Version::http_1_1;
  Headers headers;
  Framing framing;
  bool keep_alive = true;
};

/// A whole answer made by the gateway itself: a refusal, an error, an Admin API result.
struct Reply {
  unsigned status = 200;
  std::string content_type;  ///< empty: none is sent
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  /// For errors a person reads: body is a message, rendered by the proxy as the client's Accept wants it
  /// (what Kong 3.9 sends for its own errors). Otherwise body is sent as it is ("EXIT").
  bool negotiate = false;
};

[[nodiscard]] std::string_view reason_phrase(unsigned status) noexcept;

}  // namespace gateway::http
