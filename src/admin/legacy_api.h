#pragma once

#include <string>
#include "base/json.h"

namespace gateway::admin {

/// An `api` of the 0.9 and 0.10 generations is a view onto one service and one route that share its id.
struct LegacyApi {
  Json service;
  Json route;
};

/// Lays what is given, in either generation's spelling, over the rows of `api`; null rows: a new one. Returns
/// complaints as that generation tells them, field to text, or null; then the rows are to be completed.
[[nodiscard]] Json read_legacy_api(Json given, LegacyApi& api);

/// Both generations' spellings; fields without a value are left out.
[[nodiscard]] Json show_legacy_api(const LegacyApi& api);

/// True for a field either generation knows.
[[nodiscard]] bool is_legacy_field(const std::string& name);

/// Which of the two generations' names a body uses for hosts and paths.
enum class Spelling { request_path, uris };
[[nodiscard]] Spelling spelling_of(const Json& given);

/// Complaints about the service and the route under the names that generation has for their fields.
[[nodiscard]] Json legacy_complaints(const Json& complaints, Spelling spelling);

}  // namespace gateway::admin
