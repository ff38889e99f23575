#pragma once

#include <cstdint>
#include <memory_resource>
#include <string>
#include <string_view>

#include "http/headers.h"
#include "http/message.h"

namespace gateway::proxy {

/// Bytes on their way to a socket, in the request's arena.
using Output = std::pmr::string;

/// A header with a value that can hold no control characters, whoever the client is: it is not looked at again.
[[nodiscard]] inline http::Header safe(http::Name id, std::string_view value) { return {http::spelling(id), value, id, false, true}; }

/// A header's value up to where it could end its line: parsed headers cannot hold control characters; what plugins
/// and settings add might.
[[nodiscard]] std::string_view one_line(std::string_view value);

/// Status line, headers and the empty line, in the arena; then the body, if it is to go with them. A value that could end
/// its line (a plugin's mistake) is cut there: no header can become two.
[[nodiscard]] std::string_view write_response_head(http::Arena& arena, unsigned status, std::string_view reason, const http::Headers& headers,
                                                   std::string_view body = {});

/// Request line, headers and the empty line, in the arena. `mark`: a '?' goes before the query, which may be empty.
[[nodiscard]] std::string_view write_request_head(http::Arena& arena, std::string_view method, std::string_view path, std::string_view query, bool mark,
                                                  const http::Headers& headers);

/// "1f4\r\n", into `out`; at least 18 bytes of room.
[[nodiscard]] std::string_view write_chunk_size(char* out, std::size_t bytes) noexcept;

/// A number as text in the arena.
[[nodiscard]] std::string_view number(http::Arena& arena, std::int64_t value);

/// Text joined in the arena.
[[nodiscard]] std::string_view join(http::Arena& arena, std::initializer_list<std::string_view> parts);

}  // namespace gateway::proxy
