#include "schema/document.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace gateway::schema {
namespace {

void remove_duplicates(Json& list) {
  Json unique = Json::array();
  for (Json& each : list) {
    if (std::find(unique.begin(), unique.end(), each) == unique.end()) unique.push_back(std::move(each));
  }
  list = std::move(unique);
}

void tidy_value(const Field& field, Json& value) {
  if (value.is_number_float()) {
    const double given = value.get<double>();
    if (given == std::floor(given) && std::abs(given) < 9e15) value = static_cast<std::int64_t>(given);
  } else if (value.is_array() && field.elements() != nullptr) {
    for (Json& each : value) tidy_value(*field.elements(), each);
    if (field.type() == Type::set) remove_duplicates(value);
  } else if (value.is_object()) {
    if (field.record() != nullptr) tidy(*field.record(), value);
    if (field.values() != nullptr) {
      for (Json& each : value) tidy_value(*field.values(), each);
    }
  }
}

// Records in lists get their defaults too.
void fill_elements(const Field& field, Json& value) {
  if (field.elements() == nullptr || field.elements()->record() == nullptr || !value.is_array()) return;
  for (Json& each : value) {
    if (each.is_object()) fill_defaults(*field.elements()->record(), each);
  }
}

void coerce_value(const Field& field, Json& value);

void coerce_text(const Field& field, Json& value) {
  const std::string text = value.get<std::string>();
  if (text.empty()) {
    value = nullptr;
    return;
  }
  switch (field.type()) {
    case Type::boolean:
      if (text == "true") value = true;
      if (text == "false") value = false;
      break;
    case Type::integer:
    case Type::number: {
      double number = 0;
      const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
      if (parsed.ec == std::errc() && parsed.ptr == text.data() + text.size()) value = number;
      tidy_value(field, value);
      break;
    }
    case Type::array:
    case Type::set:
      value = Json::array({text});
      coerce_value(field, value);
      break;
    default: break;
  }
}

void coerce_value(const Field& field, Json& value) {
  if (value.is_string()) return coerce_text(field, value);
  if (value.is_array()) {
    if (field.elements() != nullptr) {
      for (Json& each : value) coerce_value(*field.elements(), each);
    } else if (!value.empty()) {
      // A scalar given more than once: the last one counts, as it would in a form.
      value = Json(value.back());
      coerce_value(field, value);
    }
  } else if (value.is_object()) {
    if (field.record() != nullptr) coerce(*field.record(), value);
    if (field.values() != nullptr) {
      for (Json& each : value) coerce_value(*field.values(), each);
    }
  }
}

std::string indented(const Json& tree, std::size_t depth) {
  if (tree.is_string()) return '"' + tree.get<std::string>() + '"';
  if (tree.is_null()) return "nil";
  if (!tree.is_structured()) return write_json(tree);
  const std::string margin(2 * (depth + 1), ' ');
  std::string out = "{\n";
  bool first = true;
  for (const auto& [key, value] : tree.items()) {
    if (!first) out += ",\n";
    first = false;
    out += margin;
    if (tree.is_object()) out += key + " = ";
    out += indented(value, depth + 1);
  }
  return out + "\n" + std::string(2 * depth, ' ') + "}";
}

std::string text_of(const Json& complaint) { return complaint.is_string() ? complaint.get<std::string>() : indented(complaint, 0); }

}  // namespace

void fill_defaults(const Record& record, Json& document) {
  for (const auto& [name, field] : record.fields()) {
    const auto given = document.find(name);
    if (given == document.end()) {
      if (field.type() == Type::record && field.record() != nullptr) {
        document[name] = field.default_json().value_or(Json::object());
      } else {
        document[name] = field.default_json().value_or(Json());
      }
    }
    Json& value = document[name];
    if (field.type() == Type::record && field.record() != nullptr && value.is_object()) fill_defaults(*field.record(), value);
    fill_elements(field, value);
    tidy_value(field, value);
  }
}

void tidy(const Record& record, Json& document) {
  for (auto& [name, value] : document.items()) {
    if (const Field* field = record.find(name)) tidy_value(*field, value);
  }
}

void merge(const Record& record, Json& base, const Json& patch) {
  for (const auto& [name, value] : patch.items()) {
    const Field* field = record.find(name);
    const bool part_by_part = field != nullptr && field->type() == Type::record && field->record() != nullptr;
    if (part_by_part && value.is_object() && base[name].is_object()) {
      merge(*field->record(), base[name], value);
    } else {
      base[name] = value;
    }
  }
}

Json resolve_aliases(const Record& record, Json& document) {
  Json errors = Json::object();
  for (const Alias& alias : record.aliases()) {
    const auto given = document.find(alias.name);
    if (given == document.end()) continue;
    const Json value = *given;
    document.erase(given);
    if (const std::optional<Json> wrong = alias.field.complaint(value)) {
      errors[alias.name] = *wrong;
      continue;
    }
    Json* at = &document;
    for (std::size_t i = 0; i + 1 < alias.path.size(); ++i) {
      at = &(*at)[alias.path[i]];
      if (at->is_null()) *at = Json::object();
    }
    if (!at->is_object()) continue;
    Json& place = (*at)[alias.path.back()];
    if (!place.is_null() && !value.is_null() && place != value) {
      std::string where;
      for (const std::string& part : alias.path) where += (where.empty() ? "" : ".") + part;
      errors[alias.name] = fmt::format("both deprecated and new field are used but their values mismatch: {} = {} vs {} = {}", alias.name,
                                       value.is_string() ? value.get<std::string>() : write_json(value), where,
                                       place.is_string() ? place.get<std::string>() : write_json(place));
      continue;
    }
    if (!value.is_null() || place.is_null()) place = value;
  }
  for (const auto& [name, field] : record.fields()) {
    if (field.record() == nullptr) continue;
    const auto inner = document.find(name);
    if (inner == document.end() || !inner->is_object()) continue;
    Json wrong = resolve_aliases(*field.record(), *inner);
    if (!wrong.is_null()) errors[name] = std::move(wrong);
  }
  return errors.empty() ? Json() : errors;
}

void show_aliases(const Record& record, Json& document) {
  for (const Alias& alias : record.aliases()) {
    std::string dotted;
    for (const std::string& part : alias.path) dotted += (dotted.empty() ? "" : ".") + part;
    document[alias.name] = at_path(document, dotted);
  }
  for (const auto& [name, field] : record.fields()) {
    if (field.record() == nullptr) continue;
    const auto inner = document.find(name);
    if (inner != document.end() && inner->is_object()) show_aliases(*field.record(), *inner);
  }
}

void coerce(const Record& record, Json& document) {
  for (auto& [name, value] : document.items()) {
    const Field* field = record.find(name);
    if (field == nullptr) {
      const auto alias = std::find_if(record.aliases().begin(), record.aliases().end(), [&name = name](const Alias& each) { return each.name == name; });
      if (alias != record.aliases().end()) field = &alias->field;
    }
    if (field != nullptr) coerce_value(*field, value);
  }
}

std::string summary(const Json& complaints) {
  std::vector<std::string> all;
  if (const auto entity = complaints.find("@entity"); entity != complaints.end()) {
    for (const Json& each : *entity) all.push_back(each.get<std::string>());
  }
  for (const auto& [name, complaint] : complaints.items()) {
    if (name == "@entity") continue;
    if (complaint.is_object()) {
      for (const auto& [inner, each] : complaint.items()) {
        if (inner == "@entity") {
          for (const Json& text : each) all.push_back(text_of(text));
        } else {
          all.push_back(fmt::format("{}.{}: {}", name, inner, text_of(each)));
        }
      }
    } else if (complaint.is_array()) {
      for (std::size_t i = 0; i < complaint.size(); ++i) {
        if (!complaint[i].is_null()) all.push_back(fmt::format("{}.{}: {}", name, i + 1, text_of(complaint[i])));
      }
    } else {
      all.push_back(name + ": " + text_of(complaint));
    }
  }
  std::string joined;
  for (const std::string& each : all) joined += (joined.empty() ? "" : "; ") + each;
  return all.size() == 1 ? "schema violation (" + joined + ")" : fmt::format("{} schema violations ({})", all.size(), joined);
}

std::string print_key(const Json& key) {
  if (key.is_string()) return '"' + key.get<std::string>() + '"';
  if (!key.is_object()) return write_json(key);
  std::string out = "{";
  for (const auto& [name, value] : key.items()) {
    if (out.size() > 1) out += ',';
    out += name + "=" + print_key(value);
  }
  return out + "}";
}

}  // namespace gateway::schema
