#pragma once

#include "base/json.h"

namespace gateway::admin {

/// What the 0.9 and 0.10 generations refused about the fields of an `api` that are given, in their words, field to
/// text. Fields that are absent or null are fine here; whether they may be is another question.
///
/// Source: Kong 0.9.9 and 0.10.4, schema of apis and its validation.
[[nodiscard]] Json legacy_field_complaints(const Json& given);

}  // namespace gateway::admin
