#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include "base/json.h"

namespace gateway::schema {

class Record;

enum class Type { string, integer, number, boolean, array, set, map, record, foreign };

/// A rule on text: how /schemas shows it (Kong's pattern language), how it is told, and the rule itself.
struct Pattern {
  std::string shown;
  bool (*matches)(std::string_view);
  std::string error;  ///< empty: "invalid value: <v>"
};

/// One field, declared once: from this line come validation, defaults, form conversion and /schemas.
///
/// Messages and their order: Kong 3.9 schema library. Setters return the field, to be chained.
class Field {
 public:
  /// A rule of its own: the complaint, or nullopt. Called with a value of the right type, never null. A
  /// complaint may be a tree of its own, as for records.
  using Rule = std::function<std::optional<Json>(const Json&)>;

  // In field.cc: with so many members each of these is long, and every schema would compile its own.
  explicit Field(Type type);
  Field(const Field&);
  Field(Field&&) noexcept;
  Field& operator=(const Field&);
  Field& operator=(Field&&) noexcept;
  ~Field();

  Field& required() { return required_ = true, *this; }
  Field& default_value(Json value) { return default_ = std::move(value), *this; }
  Field& describe(std::string sentence) { return description_ = std::move(sentence), *this; }
  Field& unique() { return unique_ = true, *this; }
  Field& automatic() { return automatic_ = true, *this; }  ///< filled in when absent: ids, times, keys
  Field& uuid() { return uuid_ = true, *this; }
  Field& timestamp() { return timestamp_ = true, *this; }
  Field& between(double low, double high) { return between_ = std::pair(low, high), *this; }
  Field& greater_than(double low) { return greater_than_ = low, *this; }
  Field& equal_to(Json value) { return equal_to_ = std::move(value), *this; }
  Field& one_of(std::vector<Json> values) { return one_of_ = std::move(values), *this; }
  Field& not_one_of(std::vector<Json> values) { return not_one_of_ = std::move(values), *this; }
  /// More values of one_of or not_one_of, which neither messages nor /schemas name: clients compare these with Kong's.
  Field& unlisted(std::vector<Json> values) { return unlisted_ = std::move(values), *this; }
  Field& min_length(std::size_t length) { return min_length_ = length, *this; }
  Field& exact_length(std::size_t length) { return exact_length_ = length, *this; }
  Field& starts_with(std::string prefix) { return starts_with_ = std::move(prefix), *this; }
  Field& match(Pattern pattern) { return match_ = std::move(pattern), *this; }
  Field& match_all(std::vector<Pattern> patterns) { return match_all_ = std::move(patterns), *this; }
  Field& match_none(std::vector<Pattern> patterns) { return match_none_ = std::move(patterns), *this; }
  Field& match_any(std::vector<Pattern> patterns, std::string error) {
    match_any_error_ = std::move(error);
    return match_any_ = std::move(patterns), *this;
  }
  Field& exclusive_subsets(std::vector<std::vector<std::string>> subsets) { return exclusive_ = std::move(subsets), *this; }
  Field& unlisted_subset(std::vector<std::string> subset) { return unlisted_subset_ = std::move(subset), *this; }  ///< one more of them
  Field& rule(Rule rule) { return rules_.push_back(std::move(rule)), *this; }
  /// What is worked out from the rest of a record when it is written, defaults filled in already: `now` in seconds since 1970.
  using Completion = std::function<void(Json& value, double now)>;
  Field& completed_by(Completion completion) { return completion_ = std::move(completion), *this; }
  Field& on_delete_cascade() { return cascade_ = true, *this; }
  Field& abstract() { return abstract_ = true, *this; }            ///< a record whose fields depend on another field
  Field& referenceable() { return referenceable_ = true, *this; }  ///< may be a vault reference
  Field& encrypted() { return encrypted_ = true, *this; }
  Field& transient() { return transient_ = true, *this; }                            ///< not of the row: made of other rows when shown
  Field& unique_everywhere() { return unique_everywhere_ = unique_ = true, *this; }  ///< unique across workspaces too
  Field& optional_said() { return says_optional_ = true, *this; }                    ///< /schemas shows "required": false
  Field& shown_when_set() { return only_when_set_ = true, *this; }                   ///< rows do not show it while it is null

  [[nodiscard]] Type type() const noexcept { return type_; }
  [[nodiscard]] bool is_required() const noexcept { return required_; }
  [[nodiscard]] bool is_automatic() const noexcept { return automatic_; }
  [[nodiscard]] bool is_abstract() const noexcept { return abstract_; }
  [[nodiscard]] bool is_shown_when_set() const noexcept { return only_when_set_; }
  [[nodiscard]] const Completion& completion() const noexcept { return completion_; }
  [[nodiscard]] bool is_unique() const noexcept { return unique_; }
  [[nodiscard]] const std::optional<Json>& default_json() const noexcept { return default_; }
  [[nodiscard]] const Field* elements() const noexcept { return elements_.get(); }
  [[nodiscard]] const Field* keys() const noexcept { return keys_.get(); }
  [[nodiscard]] const Field* values() const noexcept { return values_.get(); }
  [[nodiscard]] const Record* record() const noexcept { return record_.get(); }
  [[nodiscard]] const std::string& reference() const noexcept { return reference_; }

  /// The complaint about a value: text, or a tree of texts for what has parts; nullopt when it is fine.
  [[nodiscard]] std::optional<Json> complaint(const Json& value) const;

  /// As /schemas prints it.
  [[nodiscard]] Json description() const;

 private:
  friend Field array_of(Field elements);
  friend Field set_of(Field elements);
  friend Field map_of(Field keys, Field values);
  friend Field record_of(Record record);
  friend Field foreign(std::string reference);

  [[nodiscard]] std::optional<Json> type_complaint(const Json& value) const;
  [[nodiscard]] std::optional<std::string> number_complaint(const Json& value) const;
  [[nodiscard]] std::optional<std::string> length_complaint(const Json& value) const;
  [[nodiscard]] std::optional<std::string> text_complaint(const std::string& text) const;
  [[nodiscard]] std::optional<std::string> subset_complaint(const Json& value) const;
  [[nodiscard]] std::optional<Json> parts_complaint(const Json& value) const;
  void describe_limits(Json& out) const;
  void describe_patterns(Json& out) const;

  Type type_;
  bool required_ = false;
  bool unique_ = false;
  bool automatic_ = false;
  bool uuid_ = false;
  bool timestamp_ = false;
  bool cascade_ = false;
  bool abstract_ = false;
  bool referenceable_ = false;
  bool encrypted_ = false;
  bool says_optional_ = false;
  bool transient_ = false;
  bool unique_everywhere_ = false;
  bool only_when_set_ = false;
  std::optional<Json> default_;
  std::optional<Json> equal_to_;
  std::optional<std::pair<double, double>> between_;
  std::optional<double> greater_than_;
  std::optional<std::size_t> min_length_;
  std::optional<std::size_t> exact_length_;
  std::vector<Json> one_of_;
  std::vector<Json> not_one_of_;
  std::vector<Json> unlisted_;
  std::string starts_with_;
  std::optional<Pattern> match_;
  std::vector<Pattern> match_all_;
  std::vector<Pattern> match_none_;
  std::vector<Pattern> match_any_;
  std::string match_any_error_;
  std::vector<std::vector<std::string>> exclusive_;
  std::vector<std::string> unlisted_subset_;
  std::vector<Rule> rules_;
  Completion completion_;
  std::string description_;
  std::string reference_;
  std::shared_ptr<const Field> elements_;
  std::shared_ptr<const Field> keys_;
  std::shared_ptr<const Field> values_;
  std::shared_ptr<const Record> record_;
};

[[nodiscard]] inline Field string() { return Field(Type::string); }
[[nodiscard]] inline Field integer() { return Field(Type::integer); }
[[nodiscard]] inline Field number() { return Field(Type::number); }
[[nodiscard]] inline Field boolean() { return Field(Type::boolean); }
[[nodiscard]] Field array_of(Field elements);
[[nodiscard]] Field set_of(Field elements);
[[nodiscard]] Field map_of(Field keys, Field values);
[[nodiscard]] Field record_of(Record record);
/// Holds another entity's primary key: `{"id": "<uuid>"}`.
[[nodiscard]] Field foreign(std::string reference);

}  // namespace gateway::schema
