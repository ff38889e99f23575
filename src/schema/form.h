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

/// A whole form as a document of texts, lists and objects: each value at the place its key names, `a.b`, `a[]`, `a[1]`,
/// `a[some.key]`, or a repeated `a` (Kong 3.9 Admin API, form keys). Lists are in the order of their indices, whatever
/// order those came in. Values that are placed in contradicting ways: one of them wins.
[[nodiscard]] Json document_of(const Arguments& arguments);
/// The same of values that are more than text.
[[nodiscard]] Json document_of(std::vector<std::pair<std::string, Json>> arguments);

}  // namespace gateway::schema
