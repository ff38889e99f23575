#pragma once

#include "admin/answers.h"

namespace gateway::admin {

// How the 0.9 and 0.10 generations told what went wrong: flat objects, field to text.

/// A complaint tree with dotted names; what concerns the whole row is the `message`.
[[nodiscard]] Json flat_complaints(const Json& tree);

/// Of the values of unique fields that another row has.
[[nodiscard]] Json already_exists(const Json& fields);

/// An answer of today's Admin API in that generation's words; what is no refusal stays as it is.
[[nodiscard]] http::Reply in_old_words(http::Reply reply);

}  // namespace gateway::admin
