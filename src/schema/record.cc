#include "schema/record.h"

#include <algorithm>

namespace gateway::schema {
namespace {

const Json absent;

std::string quoted(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "'" : ", '") + name + "'";
  return out;
}

// Null, absent, "", {} and [] are all nothing to these checks.
bool is_empty(const Json& value) {
  if (value.is_null()) return true;
  if (value.is_string()) return value.get_ref<const std::string&>().empty();
  return value.is_structured() && value.empty();
}

// A complaint about a field at a dotted name replaces what was said of it before.
void set_error(Json& errors, std::string_view dotted, Json complaint) {
  const std::size_t dot = dotted.find('.');
  const std::string name(dotted.substr(0, dot));
  if (dot == std::string_view::npos) {
    errors[name] = std::move(complaint);
    return;
  }
  Json& inner = errors[name];
  if (!inner.is_object()) inner = Json::object();
  set_error(inner, dotted.substr(dot + 1), std::move(complaint));
}

void add_entity_error(Json& errors, std::string text) { errors["@entity"].push_back(std::move(text)); }

bool has_error(const Json& errors, std::string_view dotted) { return !at_path(errors, dotted).is_null(); }

}  // namespace

const Json& at_path(const Json& document, std::string_view dotted) {
  const Json* at = &document;
  while (true) {
    if (!at->is_object()) return absent;
    const std::size_t dot = dotted.find('.');
    const auto found = at->find(std::string(dotted.substr(0, dot)));
    if (found == at->end()) return absent;
    at = &*found;
    if (dot == std::string_view::npos) return *at;
    dotted.remove_prefix(dot + 1);
  }
}

Check Check::at_least_one_of(std::vector<std::string> fields) {
  Json description = {{"at_least_one_of", fields}};
  return Check(std::move(description), [fields = std::move(fields)](const Json& document, Json& errors) {
    const bool any = std::any_of(fields.begin(), fields.end(), [&](const std::string& name) { return !is_empty(at_path(document, name)); });
    const bool broken = std::any_of(fields.begin(), fields.end(), [&](const std::string& name) { return has_error(errors, name); });
    if (!any && !broken) add_entity_error(errors, "at least one of these fields must be non-empty: " + quoted(fields));
  });
}

Check Check::only_one_of(std::vector<std::string> fields) {
  Json description = {{"only_one_of", fields}};
  return Check(std::move(description), [fields = std::move(fields)](const Json& document, Json& errors) {
    const auto count = std::count_if(fields.begin(), fields.end(), [&](const std::string& name) { return !is_empty(at_path(document, name)); });
    const bool broken = std::any_of(fields.begin(), fields.end(), [&](const std::string& name) { return has_error(errors, name); });
    if (count != 1 && !broken) add_entity_error(errors, "exactly one of these fields must be non-empty: " + quoted(fields));
  });
}

Check Check::mutually_required(std::vector<std::string> fields) {
  Json description = {{"mutually_required", fields}};
  return Check(std::move(description), [fields = std::move(fields)](const Json& document, Json& errors) {
    const auto count = std::count_if(fields.begin(), fields.end(), [&](const std::string& name) { return !is_empty(at_path(document, name)); });
    const bool all = count == static_cast<std::ptrdiff_t>(fields.size());
    if (count != 0 && !all) add_entity_error(errors, "all or none of these fields must be set: " + quoted(fields));
  });
}

Check Check::distinct(std::vector<std::string> fields) {
  Json description = {{"distinct", fields}};
  return Check(std::move(description), [fields = std::move(fields)](const Json& document, Json& errors) {
    std::vector<Json> seen;
    for (const std::string& name : fields) {
      const Json& value = at_path(document, name);
      if (value.is_null()) continue;
      if (std::find(seen.begin(), seen.end(), value) != seen.end())
        return add_entity_error(errors, "values of these fields must be distinct: " + quoted(fields));
      seen.push_back(value);
    }
  });
}

Check Check::conditional(std::string if_field, Field if_match, std::string then_field, Field then_match, std::string error) {
  const auto shown = [](const Field& match) {
    Json out = match.description();
    out.erase("type");
    return out;
  };
  Json inner = {{"if_field", if_field}, {"if_match", shown(if_match)}, {"then_field", then_field}, {"then_match", shown(then_match)}};
  if (!error.empty()) inner["then_err"] = error;
  return Check({{"conditional", std::move(inner)}}, [if_field = std::move(if_field), if_match = std::move(if_match), then_field = std::move(then_field),
                                                     then_match = std::move(then_match), error = std::move(error)](const Json& document, Json& errors) {
    const Json& given = at_path(document, if_field);
    if (given.is_null() || if_match.complaint(given)) return;
    const std::optional<Json> wrong = then_match.complaint(at_path(document, then_field));
    if (!wrong) return;
    add_entity_error(errors, error.empty() ? "failed conditional validation given value of field '" + if_field + "'" : error);
    set_error(errors, then_field, *wrong);
  });
}

Check Check::custom(std::vector<std::string> sources, Run run, bool with_missing_fields) {
  Json inner = {{"field_sources", std::move(sources)}};
  if (with_missing_fields) inner["run_with_missing_fields"] = true;
  return Check({{"custom_entity_check", std::move(inner)}}, std::move(run));
}

Record::Record(std::vector<Named> fields, std::vector<Check> checks, std::vector<Alias> aliases)
    : fields_(std::move(fields)), checks_(std::move(checks)), aliases_(std::move(aliases)) {}
Record::Record(const Record&) = default;
Record::Record(Record&&) noexcept = default;
Record& Record::operator=(const Record&) = default;
Record& Record::operator=(Record&&) noexcept = default;
Record::~Record() = default;

const Field* Record::find(std::string_view name) const noexcept {
  const auto found = std::find_if(fields_.begin(), fields_.end(), [&](const Named& each) { return each.first == name; });
  return found == fields_.end() ? nullptr : &found->second;
}

Record Record::specialised(const Record& special) const {
  Record out = *this;
  for (const Named& each : special.fields_) {
    const auto own = std::find_if(out.fields_.begin(), out.fields_.end(), [&](const Named& mine) { return mine.first == each.first; });
    if (own != out.fields_.end()) {
      own->second = each.second;
    } else {
      out.fields_.push_back(each);
    }
  }
  out.checks_.insert(out.checks_.end(), special.checks_.begin(), special.checks_.end());
  return out;
}

Json Record::complaints(const Json& document) const {
  Json errors = Json::object();
  for (const auto& [name, field] : fields_) {
    const auto given = document.find(name);
    if (std::optional<Json> wrong = field.complaint(given == document.end() ? absent : *given)) errors[name] = std::move(*wrong);
  }
  for (const auto& [name, value] : document.items()) {
    if (find(name) != nullptr) continue;
    if (name == "@entity") {
      add_entity_error(errors, "unknown field '@entity'");  // the place where complaints about the whole gather: a list
    } else {
      errors[name] = "unknown field";
    }
  }
  for (const Check& check : checks_) check.run(document, errors);
  return errors.empty() ? Json() : errors;
}

Json Record::description() const {
  Json fields = Json::array();
  for (const auto& [name, field] : fields_) fields.push_back({{name, field.description()}});
  Json checks = Json::array();
  for (const Check& check : checks_) checks.push_back(check.description());
  Json out = {{"fields", std::move(fields)}, {"entity_checks", std::move(checks)}};
  for (const Alias& alias : aliases_) {
    Json each = alias.field.description();
    if (!alias.description.is_null()) each["deprecation"] = alias.description;
    out["shorthand_fields"].push_back({{alias.name, std::move(each)}});
  }
  return out;
}

}  // namespace gateway::schema
