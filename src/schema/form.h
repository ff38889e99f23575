#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "schema/field.h"

namespace gateway::schema {

/// More arguments than this are refused (Kong 3.9 Admin API).
inline constexpr std::size_t max_arguments = 1000;

using Arguments = std::vector<std::pair<std::string, std::string>>;

/// `a=b&c=d`, percent-decoded, '+' being a space. A key without '=' has an empty value. Nullopt beyond
/// max_arguments.
[[nodiscard]] std::optional<Arguments> decode_urlencoded(std::string_view text);

/// Percent escapes undone; what is no escape stays.
[[nodiscard]] std::string percent_decoded(std::string_view text, bool plus_is_space = false);

/// Puts a value at the place its key names: `a.b`, `a[]`, `a[1]`, `a[some.key]`, or a repeated `a`
/// (Kong 3.9 Admin API, form keys). Values that are placed twice in contradicting ways: the later wins.
void place_argument(Json& document, std::string_view key, Json value);

/// A whole form as a document of texts, lists and objects.
[[nodiscard]] Json document_of(const Arguments& arguments);

}  // namespace gateway::schema
