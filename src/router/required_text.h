#pragma once

#include <string>
#include <string_view>

namespace gateway::router {

/// Text that every match of the pattern has somewhere behind its literal lead: the longest such piece, the last of
/// equals; empty when there is none or it is unsure. Tells apart patterns that begin alike ("/users/\d+/orders").
[[nodiscard]] std::string required_text(std::string_view pattern);

}  // namespace gateway::router
