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

/// A header's value up to where it could end its line: parsed headers cannot hold control characters; what plugins
/// and settings add might.
[[nodiscard]] std::string_view one_line(std::string_view value);

/// Status line, headers and the empty line. A value that could end its line (a plugin's mistake) is cut
/// there: no header can become two.
void write_response_head(Output& out, unsigned status, std::string_view reason, const http::Headers& headers);

/// Request line, headers and the empty line. `mark`: a '?' goes before the query, which may be empty.
void write_request_head(Output& out, std::string_view method, std::string_view path, std::string_view query, bool mark, const http::Headers& headers);

/// "1f4\r\n", into `out`; at least 18 bytes of room.
[[nodiscard]] std::string_view write_chunk_size(char* out, std::size_t bytes) noexcept;

/// A number as text in the arena.
[[nodiscard]] std::string_view number(http::Arena& arena, std::int64_t value);

/// Text joined in the arena.
[[nodiscard]] std::string_view join(http::Arena& arena, std::initializer_list<std::string_view> parts);

}  // namespace gateway::proxy
