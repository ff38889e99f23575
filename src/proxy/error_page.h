#pragma once

#include <string>
#include <string_view>

#include "http/message.h"
#include "proxy/options.h"

namespace gateway::proxy {

/// Who found the fault: it decides how the body's type is chosen (Kong 3.9: answers of Lua code look at
/// Accept alone and default to JSON; those of its HTTP server fall back to the request's Content-Type and
/// then to `error_default_type`).
enum class Raised { by_gateway, by_http };

/// Renders an error for the client as it asked: JSON, plain text, HTML or XML, always escaped.
/// `request` may be a head that failed to parse: only its headers are read.
[[nodiscard]] http::Reply render_error(unsigned status, std::string_view message, std::string_view request_id, const http::RequestHead& request, Raised raised,
                                       const Options& options);

/// What Kong's HTTP server says for a status of its own: 502 "An invalid response was received ...".
[[nodiscard]] std::string_view standard_message(unsigned status) noexcept;

/// What Kong's plugins say when they refuse with a status and no words: 429 "Too many requests".
[[nodiscard]] std::string default_message(unsigned status);

}  // namespace gateway::proxy
