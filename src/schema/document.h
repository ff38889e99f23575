#pragma once

#include <string>

#include "schema/record.h"

namespace gateway::schema {

/// Fills in defaults where a document says nothing, nested records included; a set loses its duplicates, whole
/// numbers their fraction. Before validation of what is created or replaced.
void fill_defaults(const Record& record, Json& document);

/// The same without the defaults: for what is merged into something that has them.
void tidy(const Record& record, Json& document);

/// `patch` over `base`: records field by field, everything else as a whole; null clears.
void merge(const Record& record, Json& base, const Json& patch);

/// Takes values given under older names to where they belong. A complaint tree when old and new are both
/// given and differ, or an old one has the wrong type; else null.
[[nodiscard]] Json resolve_aliases(const Record& record, Json& document);

/// Adds the older names to what is shown.
void show_aliases(const Record& record, Json& document);

/// Values that came as text (forms, query strings) to what the fields want: numbers, booleans, lists. What
/// cannot be converted stays text, for validation to complain about. The empty text is null.
void coerce(const Record& record, Json& document);

/// A complaint tree in one line: "schema violation (name: ...)".
[[nodiscard]] std::string summary(const Json& complaints);

/// A key as messages print it: `{name="x",service={id="..."}}`, names sorted.
[[nodiscard]] std::string print_key(const Json& key);

}  // namespace gateway::schema
