#pragma once

#include <string>
#include <string_view>

#include "admin/call.h"
#include "store/store.h"

namespace gateway::admin {

// The answers of the Admin API, with Kong's numbers, names and words (Kong 3.9 Admin API, error object).

[[nodiscard]] http::Reply json_reply(unsigned status, const Json& body);
[[nodiscard]] http::Reply message(unsigned status, std::string_view text);
[[nodiscard]] http::Reply no_content();
[[nodiscard]] http::Reply not_found();
[[nodiscard]] http::Reply method_not_allowed();
/// Logs what happened; the client hears nothing of it.
[[nodiscard]] http::Reply unexpected(const Error& error);

[[nodiscard]] http::Reply schema_violation(const Json& complaints);
[[nodiscard]] http::Reply invalid_primary_key(std::string_view given);
[[nodiscard]] http::Reply invalid_unique(std::string_view field, const std::string& complaint);
[[nodiscard]] http::Reply could_not_find(const Json& key, bool primary);
[[nodiscard]] http::Reply invalid_offset(std::string_view offset, std::string_view why);
[[nodiscard]] http::Reply invalid_size(std::string_view why);
[[nodiscard]] http::Reply invalid_option(std::string_view option, std::string_view why);
[[nodiscard]] http::Reply unresolved_foreign_key(std::string_view field, const Json& key, std::string_view parent);
[[nodiscard]] http::Reply missing_parent(std::string_view field, const Json& key, std::string_view parent);
/// A row that others name without a foreign key; `why` says which do.
[[nodiscard]] http::Reply referenced_by_others(std::string_view why);
/// Of a write of `type` that the store would not do.
[[nodiscard]] http::Reply refused(const store::Refusal& refusal, std::string_view type);

}  // namespace gateway::admin
