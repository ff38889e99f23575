#pragma once

#include <string_view>

namespace gateway::upstream {

/// The status in the first line of an answer to a probe, "HTTP/1.1 200 OK"; 0 when it is no such line.
[[nodiscard]] unsigned probe_status(std::string_view answer) noexcept;

}  // namespace gateway::upstream
