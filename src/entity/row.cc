#include "entity/row.h"

#include <cmath>

#include "base/uuid.h"
#include "schema/document.h"

namespace gateway::entity {
namespace {

using schema::Record;

constexpr std::size_t generated_key_length = 32;

std::shared_ptr<const Record> record_for(const Type& type, const Json& document) { return type.subschema ? type.subschema(document) : type.schema; }

bool is_missing(const Json& document, const std::string& name) {
  const auto found = document.find(name);
  return found == document.end() || found->is_null();
}

// Most times are whole seconds; those of a field that is a number are as exact as the clock.
Json time_of(const schema::Field& field, double now) {
  if (field.type() == schema::Type::number) return std::floor(now * 1000) / 1000;
  return static_cast<std::int64_t>(now);
}

void fill_automatic(const Record& record, Json& document, double now) {
  for (const auto& [name, field] : record.fields()) {
    if (!field.is_automatic()) continue;
    if (name == "updated_at") {
      document[name] = time_of(field, now);
    } else if (!is_missing(document, name)) {
      continue;
    } else if (name == "created_at") {
      document[name] = time_of(field, now);
    } else if (name == "id") {
      document[name] = Uuid::random().to_string();
    } else {
      document[name] = random_token(generated_key_length);
    }
  }
}

void fill_computed(const Record& record, Json& document, double now) {
  for (const auto& [name, field] : record.fields()) {
    if (!field.completion()) continue;
    if (const auto value = document.find(name); value != document.end() && value->is_object()) field.completion()(*value, now);
  }
}

// `ttl` belongs to the row, not to its fields (Kong 3.9, entities with ttl).
Json take_ttl(const Type& type, Json& document, Json& ttl) {
  if (!type.has_ttl) return nullptr;
  const auto given = document.find("ttl");
  if (given == document.end()) return nullptr;
  ttl = *given;
  document.erase(given);
  if (ttl.is_null()) return nullptr;
  if (!ttl.is_number_integer()) return {{"ttl", "expected an integer"}};
  const auto seconds = ttl.get<std::int64_t>();
  if (seconds < 0 || seconds > 100000000) return {{"ttl", "value should be between 0 and 100000000"}};
  return nullptr;
}

void put_ttl(const Json& ttl, Json& document) {
  if (ttl.is_number_integer() && ttl.get<std::int64_t>() > 0) document["ttl"] = ttl;
}

Json with(Json errors, Json more) {
  if (errors.is_null()) return more;
  if (!more.is_null()) errors.update(more, true);
  return errors;
}

// Of a change that leaves a row without what it must have one of, Kong says that it was the change.
void say_that_it_is_a_change(Json& complaints) {
  if (!complaints.is_object()) return;
  for (auto& [name, complaint] : complaints.items()) {
    if (complaint.is_object()) say_that_it_is_a_change(complaint);
    if (name != "@entity") continue;
    for (Json& each : complaint) {
      if (const std::string text = each.get<std::string>(); text.starts_with("at least one of")) each = "when updating, " + text;
    }
  }
}

}  // namespace

Json complete(const Type& type, Json& document, double now) {
  if (!document.is_object()) return {{"@entity", {"expected a record"}}};
  Json ttl;
  Json errors = take_ttl(type, document, ttl);
  if (type.prepare) errors = with(std::move(errors), type.prepare(document));
  const std::shared_ptr<const Record> record = record_for(type, document);
  if (!record) return type.no_subschema(document);
  Json aliases = schema::resolve_aliases(*record, document);
  errors = with(std::move(errors), std::move(aliases));
  fill_automatic(*record, document, now);
  schema::fill_defaults(*record, document);
  fill_computed(*record, document, now);
  Json complaints = record->complaints(document);
  errors = with(std::move(complaints), std::move(errors));
  put_ttl(ttl, document);
  return errors;
}

Json update(const Type& type, const Json& existing, Json patch, double now, Json& result) {
  if (!patch.is_object()) return {{"@entity", {"expected a record"}}};
  Json ttl;
  Json errors = take_ttl(type, patch, ttl);
  if (type.prepare) errors = with(std::move(errors), type.prepare(patch));
  Json named = existing;
  if (patch.contains("name")) named["name"] = patch["name"];
  const std::shared_ptr<const Record> record = record_for(type, named);
  if (!record) return type.no_subschema(named);
  result = existing;
  result.erase("ttl");
  // An older name in the patch means the field it stands for, whatever that has held so far.
  errors = with(std::move(errors), schema::resolve_aliases(*record, patch));
  schema::merge(*record, result, patch);
  if (const schema::Field* field = record->find("updated_at")) result["updated_at"] = time_of(*field, now);
  if (const schema::Field* field = record->find("created_at"); field != nullptr && is_missing(result, "created_at"))
    result["created_at"] = time_of(*field, now);
  schema::tidy(*record, result);
  fill_computed(*record, result, now);
  Json complaints = record->complaints(result);
  say_that_it_is_a_change(complaints);
  errors = with(std::move(complaints), std::move(errors));
  put_ttl(ttl.is_null() && existing.contains("ttl") ? existing["ttl"] : ttl, result);
  return errors;
}

void coerce(const Type& type, Json& document, const Json& existing) {
  if (!document.is_object()) return;
  if (type.has_ttl && document.contains("ttl")) {
    static const Record ttl({{"ttl", schema::integer()}});
    schema::coerce(ttl, document);
  }
  Json named = existing.is_object() ? existing : Json::object();
  if (document.contains("name")) named["name"] = document["name"];
  std::shared_ptr<const Record> record = record_for(type, named);
  schema::coerce(record ? *record : *type.schema, document);
}

Json shown(const Type& type, const Json& row) {
  Json out = row;
  const std::shared_ptr<const Record> record = record_for(type, row);
  const Record& fields = record ? *record : *type.schema;
  for (const auto& [name, field] : fields.fields()) {
    if (!out.contains(name)) out[name] = nullptr;
    if (field.is_shown_when_set() && out[name].is_null()) out.erase(name);
  }
  if (type.has_ttl && !out.contains("ttl")) out["ttl"] = nullptr;
  schema::show_aliases(fields, out);
  return out;
}

}  // namespace gateway::entity
