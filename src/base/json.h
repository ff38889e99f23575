#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace gateway {

using Json = nlohmann::json;

/// What the text says (RFC 8259); is_discarded() when it is no JSON.
[[nodiscard]] Json parse_json(std::string_view text);
/// The same for texts of strangers: discarded too when it is nested deeper than `depth`, since writing it again takes stack.
[[nodiscard]] Json parse_json(std::string_view text, int depth);

/// On one line. What is no UTF-8 in a string becomes U+FFFD.
[[nodiscard]] std::string write_json(const Json& document);

}  // namespace gateway

// Compiled once, in json.cc: in every file that uses them they would be most of what the compiler does there.
extern template class nlohmann::basic_json<>;
extern template class std::vector<gateway::Json>;
extern template class std::map<std::string, gateway::Json, std::less<>>;
