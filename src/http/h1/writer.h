#pragma once

#include <string_view>

namespace gateway::http::h1 {

/// Now as a Date header has it (RFC 9110, 5.6.7). Made once a second per thread; valid until the next call.
[[nodiscard]] std::string_view http_date();

}  // namespace gateway::http::h1
