#include "schema/field.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/uuid.h"
#include "schema/record.h"

namespace gateway::schema {
namespace {

// A number as Lua prints it: no ".0" behind whole ones.
std::string shown(double value) {
  return value == std::floor(value) && std::abs(value) < 1e15 ? fmt::format("{}", static_cast<std::int64_t>(value)) : fmt::format("{}", value);
}

std::string shown(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "null";
  if (value.is_number()) return shown(value.get<double>());
  return write_json(value);
}

std::string listed(const std::vector<Json>& values) {
  std::string out;
  for (const Json& value : values) out += (out.empty() ? "" : ", ") + shown(value);
  return out;
}

bool contains(const std::vector<Json>& values, const Json& value) { return std::find(values.begin(), values.end(), value) != values.end(); }

bool is_whole(const Json& value) {
  if (value.is_number_integer()) return true;
  return value.is_number() && value.get<double>() == std::floor(value.get<double>());
}

const char* type_name(Type type) {
  switch (type) {
    case Type::string: return "string";
    case Type::integer: return "integer";
    case Type::number: return "number";
    case Type::boolean: return "boolean";
    case Type::array: return "array";
    case Type::set: return "set";
    case Type::map: return "map";
    case Type::record: return "record";
    case Type::foreign: return "foreign";
  }
  return "";
}

Json described(const Pattern& pattern) {
  Json out = {{"pattern", pattern.shown}};
  if (!pattern.error.empty()) out["err"] = pattern.error;
  return out;
}

}  // namespace

Field::Field(Type type) : type_(type) {}
Field::Field(const Field&) = default;
Field::Field(Field&&) noexcept = default;
Field& Field::operator=(const Field&) = default;
Field& Field::operator=(Field&&) noexcept = default;
Field::~Field() = default;

Field array_of(Field elements) {
  Field field(Type::array);
  field.elements_ = std::make_shared<const Field>(std::move(elements));
  return field;
}

Field set_of(Field elements) {
  Field field(Type::set);
  field.elements_ = std::make_shared<const Field>(std::move(elements));
  return field;
}

Field map_of(Field keys, Field values) {
  Field field(Type::map);
  field.keys_ = std::make_shared<const Field>(std::move(keys));
  field.values_ = std::make_shared<const Field>(std::move(values));
  return field;
}

Field record_of(Record record) {
  Field field(Type::record);
  field.record_ = std::make_shared<const Record>(std::move(record));
  return field;
}

Field foreign(std::string reference) {
  Field field(Type::foreign);
  field.reference_ = std::move(reference);
  return field;
}

std::optional<Json> Field::complaint(const Json& value) const {
  if (equal_to_ && value != *equal_to_) return "value must be " + shown(*equal_to_);
  if (value.is_null()) return required_ ? std::optional<Json>("required field missing") : std::nullopt;
  if (std::optional<Json> wrong = type_complaint(value)) return wrong;
  if (!not_one_of_.empty() && (contains(not_one_of_, value) || contains(unlisted_, value))) return "must not be one of: " + listed(not_one_of_);
  if (!one_of_.empty() && !contains(one_of_, value) && !contains(unlisted_, value)) return "expected one of: " + listed(one_of_);
  if (std::optional<std::string> wrong = number_complaint(value)) return *wrong;
  if (uuid_ && !(value.is_string() && Uuid::parse(value.get_ref<const std::string&>()))) return "expected a valid UUID";
  if (std::optional<std::string> wrong = length_complaint(value)) return *wrong;
  if (type_ == Type::string) {
    if (std::optional<std::string> wrong = text_complaint(value.get_ref<const std::string&>())) return *wrong;
  }
  if (std::optional<Json> wrong = parts_complaint(value)) return wrong;
  for (const Rule& rule : rules_) {
    if (std::optional<Json> wrong = rule(value)) return wrong;
  }
  if (std::optional<std::string> wrong = subset_complaint(value)) return *wrong;
  return std::nullopt;
}

std::optional<Json> Field::type_complaint(const Json& value) const {
  bool good = false;
  switch (type_) {
    case Type::string: good = value.is_string(); break;
    case Type::integer: good = value.is_number() && is_whole(value); break;
    case Type::number: good = value.is_number(); break;
    case Type::boolean: good = value.is_boolean(); break;
    case Type::array:
    case Type::set: good = value.is_array(); break;
    case Type::map:
    case Type::record:
    case Type::foreign: good = value.is_object(); break;
  }
  if (good) return std::nullopt;
  if (type_ == Type::foreign) return "expected a record";
  const bool vowel = type_ == Type::integer || type_ == Type::array;
  return fmt::format("expected {} {}", vowel ? "an" : "a", type_name(type_));
}

std::optional<std::string> Field::number_complaint(const Json& value) const {
  if (!value.is_number()) return std::nullopt;
  const double given = value.get<double>();
  if (greater_than_ && given <= *greater_than_) return "value must be greater than " + shown(*greater_than_);
  if (timestamp_ && given <= 0) return "expected a valid timestamp";
  if (between_ && (given < between_->first || given > between_->second)) {
    return fmt::format("value should be between {} and {}", shown(between_->first), shown(between_->second));
  }
  return std::nullopt;
}

std::optional<std::string> Field::length_complaint(const Json& value) const {
  if (!value.is_string() && !value.is_structured()) return std::nullopt;
  const std::size_t length = value.is_string() ? value.get_ref<const std::string&>().size() : value.size();
  if (exact_length_ && length != *exact_length_) return fmt::format("length must be {}", *exact_length_);
  const std::size_t least = min_length_.value_or(type_ == Type::string ? 1 : 0);
  if (length < least) return fmt::format("length must be at least {}", least);
  return std::nullopt;
}

std::optional<std::string> Field::text_complaint(const std::string& text) const {
  const auto told = [&](const Pattern& pattern) { return pattern.error.empty() ? "invalid value: " + text : pattern.error; };
  if (!starts_with_.empty() && !text.starts_with(starts_with_)) return "should start with: " + starts_with_;
  for (const Pattern& pattern : match_none_) {
    if (pattern.matches(text)) return told(pattern);
  }
  if (match_ && !match_->matches(text)) return told(*match_);
  for (const Pattern& pattern : match_all_) {
    if (!pattern.matches(text)) return told(pattern);
  }
  if (!match_any_.empty() && std::none_of(match_any_.begin(), match_any_.end(), [&](const Pattern& pattern) { return pattern.matches(text); })) {
    return match_any_error_.empty() ? "invalid value: " + text : match_any_error_;
  }
  return std::nullopt;
}

std::optional<Json> Field::parts_complaint(const Json& value) const {
  if (type_ == Type::record) {
    if (!record_) return std::nullopt;
    Json errors = record_->complaints(value);
    return errors.is_null() ? std::nullopt : std::optional<Json>(std::move(errors));
  }
  if (type_ == Type::foreign) {
    const auto id = value.find("id");
    if (value.size() != 1 || id == value.end()) return "not a primary key";
    if (!id->is_string() || !Uuid::parse(id->get_ref<const std::string&>())) return Json{{"id", "expected a valid UUID"}};
    return std::nullopt;
  }
  if (type_ == Type::array || type_ == Type::set) {
    // Holes stand for the elements that are fine, so that a complaint keeps its place.
    Json errors;
    for (std::size_t i = 0; i < value.size(); ++i) {
      std::optional<Json> wrong = elements_->complaint(value[i]);
      if (!wrong) continue;
      if (errors.is_null()) errors = Json::array();
      while (errors.size() < i) errors.push_back(nullptr);
      errors.push_back(std::move(*wrong));
    }
    return errors.is_null() ? std::nullopt : std::optional<Json>(std::move(errors));
  }
  if (type_ == Type::map) {
    for (const auto& [key, each] : value.items()) {
      if (std::optional<Json> wrong = keys_->complaint(Json(key))) return wrong;
      if (std::optional<Json> wrong = values_->complaint(each)) return wrong;
    }
  }
  return std::nullopt;
}

std::optional<std::string> Field::subset_complaint(const Json& value) const {
  if (exclusive_.empty()) return std::nullopt;
  std::string hit;
  unsigned count = 0;
  const auto look = [&](const std::vector<std::string>& subset) {
    const bool any = std::any_of(subset.begin(), subset.end(),
                                 [&](const std::string& member) { return std::find(value.begin(), value.end(), Json(member)) != value.end(); });
    if (!any) return;
    ++count;
    std::string names;
    for (const std::string& member : subset) names += (names.empty() ? "'" : ", '") + member + "'";
    hit += (hit.empty() ? "(" : ", (") + names + ")";
  };
  std::for_each(exclusive_.begin(), exclusive_.end(), look);
  look(unlisted_subset_);
  return count > 1 ? std::optional<std::string>("these sets are mutually exclusive: " + hit) : std::nullopt;
}

Json Field::description() const {
  Json out = {{"type", type_name(type_)}};
  if (required_) out["required"] = true;
  if (says_optional_) out["required"] = false;
  if (unique_) out["unique"] = true;
  if (unique_everywhere_) out["unique_across_ws"] = true;
  if (automatic_) out["auto"] = true;
  if (uuid_) out["uuid"] = true;
  if (timestamp_) out["timestamp"] = true;
  if (abstract_) out["abstract"] = true;
  if (referenceable_) out["referenceable"] = true;
  if (encrypted_) out["encrypted"] = true;
  if (transient_) out["transient"] = true;
  if (cascade_) out["on_delete"] = "cascade";
  if (default_) out["default"] = *default_;
  if (!reference_.empty()) out["reference"] = reference_;
  if (!description_.empty()) out["description"] = description_;
  describe_limits(out);
  describe_patterns(out);
  if (elements_) out["elements"] = elements_->description();
  if (keys_) out["keys"] = keys_->description();
  if (values_) out["values"] = values_->description();
  if (record_) {
    Json inner = record_->description();
    if (inner["entity_checks"].empty()) inner.erase("entity_checks");
    out.update(inner);
  }
  return out;
}

void Field::describe_limits(Json& out) const {
  const auto exact = [](double value) { return value == std::floor(value) ? Json(static_cast<std::int64_t>(value)) : Json(value); };
  if (equal_to_) out["eq"] = *equal_to_;
  if (between_) out["between"] = {exact(between_->first), exact(between_->second)};
  if (greater_than_) out["gt"] = exact(*greater_than_);
  if (min_length_) out["len_min"] = *min_length_;
  if (exact_length_) out["len_eq"] = *exact_length_;
  if (!one_of_.empty()) out["one_of"] = one_of_;
  if (!not_one_of_.empty()) out["not_one_of"] = not_one_of_;
  if (!exclusive_.empty()) out["mutually_exclusive_subsets"] = exclusive_;
}

void Field::describe_patterns(Json& out) const {
  if (!starts_with_.empty()) out["starts_with"] = starts_with_;
  if (match_) {
    out["match"] = match_->shown;
    if (!match_->error.empty()) out["err"] = match_->error;
  }
  for (const Pattern& pattern : match_all_) out["match_all"].push_back(described(pattern));
  for (const Pattern& pattern : match_none_) out["match_none"].push_back(described(pattern));
  if (match_any_.empty()) return;
  Json any = Json::object();
  for (const Pattern& pattern : match_any_) any["patterns"].push_back(pattern.shown);
  if (!match_any_error_.empty()) any["err"] = match_any_error_;
  out["match_any"] = std::move(any);
}

}  // namespace gateway::schema
