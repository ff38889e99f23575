#pragma once

#include "base/json.h"

#include "entity/type.h"

namespace gateway::entity {

/// What turns a document from outside into a row. Each returns a complaint tree, or null when the document
/// is now whole and valid.

/// To be created, or to replace what is there: defaults, id, times; `now` in seconds since 1970, with what follows the point.
[[nodiscard]] nlohmann::json complete(const Type& type, nlohmann::json& document, double now);

/// `patch` over the row that exists.
[[nodiscard]] nlohmann::json update(const Type& type, const nlohmann::json& existing, nlohmann::json patch, double now, nlohmann::json& result);

/// Converts what came as text; `existing` tells the kind of a row that the document does not name. Null: none.
void coerce(const Type& type, nlohmann::json& document, const nlohmann::json& existing);

/// The row as the Admin API shows it: every field, older names too.
[[nodiscard]] nlohmann::json shown(const Type& type, const nlohmann::json& row);

}  // namespace gateway::entity
