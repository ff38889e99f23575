#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/field.h"

namespace gateway::schema {

/// What must hold between fields. Names may be dotted: "config.redis.host".
class Check {
 public:
  /// Adds complaints to a tree of errors for a document.
  using Run = std::function<void(const Json& document, Json& errors)>;

  static Check at_least_one_of(std::vector<std::string> fields);
  static Check only_one_of(std::vector<std::string> fields);
  static Check mutually_required(std::vector<std::string> fields);  ///< all or none
  /// Those that have values have different ones.
  static Check distinct(std::vector<std::string> fields);
  /// When `if_field` has a value that `if_match` accepts, `then_field` must have one that `then_match` does.
  static Check conditional(std::string if_field, Field if_match, std::string then_field, Field then_match, std::string error = {});
  /// One that only code can say; `sources` is what /schemas shows of it.
  static Check custom(std::vector<std::string> sources, Run run, bool with_missing_fields = false);

  void run(const Json& document, Json& errors) const { run_(document, errors); }
  [[nodiscard]] const Json& description() const noexcept { return description_; }

 private:
  Check(Json description, Run run) : description_(std::move(description)), run_(std::move(run)) {}
  Json description_;
  Run run_;
};

/// A field that is accepted on write under an older name, and shown under it too (Kong's shorthand fields).
struct Alias {
  std::string name;
  Field field;
  std::vector<std::string> path;  ///< where its value really is
  Json description;               ///< of the deprecation, for /schemas
};

/// An ordered list of fields with the checks between them: an entity, a plugin's configuration, a part of one.
class Record {
 public:
  using Named = std::pair<std::string, Field>;

  Record(std::vector<Named> fields, std::vector<Check> checks = {}, std::vector<Alias> aliases = {});
  Record(const Record&);
  Record(Record&&) noexcept;
  Record& operator=(const Record&);
  Record& operator=(Record&&) noexcept;
  ~Record();

  [[nodiscard]] const std::vector<Named>& fields() const noexcept { return fields_; }
  [[nodiscard]] const std::vector<Check>& checks() const noexcept { return checks_; }
  [[nodiscard]] const std::vector<Alias>& aliases() const noexcept { return aliases_; }
  [[nodiscard]] const Field* find(std::string_view name) const noexcept;

  /// This record with fields and checks of `special` in place of, or added to, its own: a plugin's row.
  [[nodiscard]] Record specialised(const Record& special) const;

  /// A tree of complaints like the document; null when it is valid. Unknown fields are errors.
  [[nodiscard]] Json complaints(const Json& document) const;

  /// `{"fields": [{"<name>": {...}}], "entity_checks": [...]}`, as /schemas prints it.
  [[nodiscard]] Json description() const;

 private:
  std::vector<Named> fields_;
  std::vector<Check> checks_;
  std::vector<Alias> aliases_;
};

/// The value at a dotted name; null when there is none.
[[nodiscard]] const Json& at_path(const Json& document, std::string_view dotted);

}  // namespace gateway::schema
