#include "admin/rows.h"

#include <algorithm>
#include <charconv>

#include "admin/paging.h"
#include "entity/fields.h"
#include "entity/row.h"
#include "schema/document.h"
#include "schema/record.h"

namespace gateway::admin {
namespace {

using entity::Type;
using http::Reply;
using store::Operation;

constexpr std::size_t default_page = 100;
constexpr std::size_t max_page = 1000;
constexpr std::size_t max_tags = 5;

Json key_of(const Uuid& id) { return {{"id", id.to_string()}}; }

std::optional<Uuid> id_of(const Json& row) {
  const auto id = row.find("id");
  return id != row.end() && id->is_string() ? Uuid::parse(id->get_ref<const std::string&>()) : std::nullopt;
}

bool belongs_to(const Json& row, const Parent& parent) {
  const auto foreign = row.find(parent.field);
  return foreign != row.end() && foreign->is_object() && id_of(*foreign) == parent.id;
}

// "a,b" is both, "a/b" is either.
std::optional<Reply> read_tags(const std::string& text, store::PageRequest& request) {
  if (text.empty()) return invalid_option("tags", "cannot be null");
  const bool all = text.find(',') != std::string::npos;
  const bool any = text.find('/') != std::string::npos;
  if (all && any) return invalid_option("tags", "invalid filter syntax");
  request.tags_mode = any ? store::PageRequest::Tags::any : store::PageRequest::Tags::all;
  std::string_view rest = text;
  static const schema::Field tag = *entity::tags_field().second.elements();
  while (true) {
    const std::size_t end = rest.find(any ? '/' : ',');
    if (tag.complaint(Json(rest.substr(0, end)))) return invalid_option("tags", "invalid filter syntax");
    request.tags.emplace_back(rest.substr(0, end));
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  if (request.tags.size() > max_tags) return invalid_option("tags", "cannot query more than 5 tags");
  return std::nullopt;
}

}  // namespace

std::optional<Reply> Rows::page_request(const Type& type, const Call& call, bool nested, store::PageRequest& request) {
  request.size = default_page;
  if (const std::optional<std::string> size = call.argument("size")) {
    double number = 0;
    const auto parsed = std::from_chars(size->data(), size->data() + size->size(), number);
    if (parsed.ec != std::errc() || parsed.ptr != size->data() + size->size()) return invalid_size("size must be a number");
    if (number != static_cast<std::size_t>(std::clamp(number, 0.0, 1e6)) || number < 1 || number > max_page) {
      return invalid_size("size must be an integer between 1 and 1000");
    }
    request.size = static_cast<std::size_t>(number);
  }
  if (const std::optional<std::string> offset = call.argument("offset")) {
    std::string why;
    request.after = read_offset(*offset, why);
    if (!request.after) return invalid_offset(*offset, why);
  }
  const std::optional<std::string> tags = call.argument("tags");
  if (tags && !nested && type.has_tags) return read_tags(*tags, request);
  return std::nullopt;
}

Task<Reply> Rows::list(const Type& type, const Call& call, std::optional<Parent> parent, std::string path) {
  // Consumers alone can be looked for by a field: it names them in somebody else's system.
  const std::optional<std::string> custom_id = type.name == "consumers" && !parent ? call.argument("custom_id") : std::nullopt;
  if (custom_id) {
    if (custom_id->empty()) co_return message(400, "custom_id must be an unempty string");
    auto work = [this, &type, &custom_id] { return context_.store.find(type, "custom_id", *custom_id); };
    const Result<std::optional<Json>> row = co_await context_.pool.run(work);
    if (!row) co_return unexpected(row.error());
    Json data = Json::array();
    if (*row) data.push_back(entity::shown(type, **row));
    co_return json_reply(200, {{"data", std::move(data)}, {"next", nullptr}});
  }
  store::PageRequest request;
  std::optional<Reply> wrong = page_request(type, call, parent.has_value(), request);
  if (wrong) co_return std::move(*wrong);
  if (parent) {
    request.parent_field = parent->field;
    request.parent = parent->id;
  }
  auto work = [this, &type, &request] { return context_.store.page(type, request); };
  const Result<store::Page> page = co_await context_.pool.run(work);
  if (!page) co_return unexpected(page.error());
  Json body = {{"data", Json::array()}, {"next", nullptr}};
  for (const Json& row : page->rows) body["data"].push_back(entity::shown(type, row));
  const Status completed = co_await complete_shown(type, body["data"]);
  if (!completed) co_return unexpected(completed.error());
  if (page->next) {
    const std::string offset = write_offset(*page->next);
    std::string next = path + "?offset=" + percent_encoded(offset);
    if (!parent) {
      for (const char* name : {"tags", "size"}) {
        if (const std::optional<std::string> given = call.argument(name)) next += std::string("&") + name + "=" + percent_encoded(*given);
      }
    }
    body["offset"] = offset;
    body["next"] = next;
  }
  co_return json_reply(200, body);
}

Task<Rows::Found> Rows::find(const Type& type, const std::string& key, std::optional<Parent> parent) {
  Found found;
  found.id = Uuid::parse(key);
  Result<std::optional<Json>> row = std::optional<Json>();
  if (found.id) {
    auto work = [&] { return context_.store.get(type, *found.id); };
    row = co_await context_.pool.run(work);
  } else if (!type.named_by_entity.empty()) {
    Found name = co_await find(*context_.catalog.find(type.named_by_entity), key, std::nullopt);
    if (name.wrong || !name.row) {
      found.wrong = std::move(name.wrong);
      co_return found;
    }
    row = co_await named(type, *name.row);
  } else if (!type.endpoint_key.empty()) {
    if (const std::optional<Json> wrong = type.schema->find(type.endpoint_key)->complaint(Json(key))) {
      found.wrong = invalid_unique(type.endpoint_key, wrong->is_string() ? wrong->get<std::string>() : wrong->dump());
      co_return found;
    }
    auto work = [&] { return context_.store.find(type, type.endpoint_key, key); };
    row = co_await context_.pool.run(work);
  } else if (parent && type.cache_key.size() == 2 && type.cache_key[0] == parent->field) {
    // Below their parent, rows without a name of their own go by the other half of their key (acl groups).
    const Json composite = {{parent->field, key_of(parent->id)}, {type.cache_key[1], key}};
    auto work = [&] { return context_.store.find_by_cache_key(type, composite); };
    row = co_await context_.pool.run(work);
  } else {
    found.wrong = invalid_primary_key(key);
    co_return found;
  }
  if (!row) {
    found.wrong = unexpected(row.error());
  } else if (*row && (!parent || belongs_to(**row, *parent))) {
    found.row = std::move(**row);
    found.id = id_of(*found.row);
  }
  co_return found;
}

// The row that one of its names leads to.
Task<Result<std::optional<Json>>> Rows::named(const Type& type, const Json& name) {
  const Json& id = schema::at_path(name, type.named_by_field + ".id");
  const std::optional<Uuid> parsed = id.is_string() ? Uuid::parse(id.get_ref<const std::string&>()) : std::nullopt;
  if (!parsed) co_return std::optional<Json>();
  auto work = [&] { return context_.store.get(type, *parsed); };
  co_return co_await context_.pool.run(work);
}

Reply Rows::missing(const Type& type, const Found& found) {
  if (type.named_by_entity.empty()) return not_found();
  return found.id ? could_not_find(key_of(*found.id), true) : message(404, "SNI not found");
}

Task<Status> Rows::complete_shown(const Type& type, Json& rows) {
  if (type.name != "certificates") co_return Status();
  co_return co_await certificates_.add_names(rows);
}

Task<Reply> Rows::shown(const Type& type, unsigned status, const Json& row) {
  Json rows = Json::array({entity::shown(type, row)});
  const Status completed = co_await complete_shown(type, rows);
  if (!completed) co_return unexpected(completed.error());
  co_return json_reply(status, rows[0]);
}

Task<std::optional<Reply>> Rows::resolve_foreign(const Type& type, Json& document) {
  for (const auto& [name, field] : type.schema->fields()) {
    if (field.type() != schema::Type::foreign) continue;
    const auto given = document.find(name);
    if (given == document.end() || !given->is_object() || given->contains("id") || given->size() != 1) continue;
    const Json key = *given;
    const std::string by = key.begin().key();
    const Type* parent = context_.catalog.find(field.reference());
    const bool known = parent != nullptr && std::find(parent->unique.begin(), parent->unique.end(), by) != parent->unique.end();
    if (!known || !key.begin()->is_string()) continue;  // validation says what is wrong with it
    const std::string value = key.begin()->get<std::string>();
    auto work = [&] { return context_.store.find(*parent, by, value); };
    const Result<std::optional<Json>> row = co_await context_.pool.run(work);
    if (!row) co_return unexpected(row.error());
    if (!*row) co_return unresolved_foreign_key(name, key, parent->name);
    document[name] = key_of(*id_of(**row));
  }
  co_return std::nullopt;
}

// What the schema of one row cannot see: other rows.
Task<std::optional<Reply>> Rows::check_relations(const Type& type, const Json& document) {
  for (const auto& [name, field] : type.schema->fields()) {
    if (field.type() != schema::Type::foreign || context_.catalog.find(field.reference()) != nullptr) continue;
    const auto given = document.find(name);
    // A kind of entity this build does not have: no row of it can exist.
    if (given != document.end() && given->is_object()) co_return missing_parent(name, *given, field.reference());
  }
  co_return co_await protocols_.check(type, document);
}

Task<Reply> Rows::write(const Type& type, Operation operation, Json document, unsigned status) {
  std::optional<Reply> wrong = co_await check_relations(type, document);
  if (wrong) co_return std::move(*wrong);
  std::vector<store::Write> writes;
  if (type.name == "certificates") {
    Certificates::Plan plan = co_await certificates_.plan(operation, document);
    if (plan.wrong) co_return std::move(*plan.wrong);
    writes = std::move(plan.writes);
  } else {
    writes.push_back({operation, &type, *id_of(document), document});
  }
  const Result<store::Outcome> outcome = co_await context_.writer.write(std::move(writes));
  if (!outcome) co_return unexpected(outcome.error());
  if (const auto* refusal = std::get_if<store::Refusal>(&*outcome)) co_return refused(*refusal, type.name);
  co_return co_await shown(type, status, document);
}

Task<Reply> Rows::create(const Type& type, Call& call, std::optional<Parent> parent) {
  if (!call.body.is_object()) co_return message(400, "Cannot parse JSON body");
  if (call.body_is_text) entity::coerce(type, call.body, nullptr);
  if (parent) call.body[parent->field] = key_of(parent->id);
  const Writer::Pass pass = co_await context_.writer.enter();
  std::optional<Reply> wrong = co_await resolve_foreign(type, call.body);
  if (wrong) co_return std::move(*wrong);
  const Json complaints = entity::complete(type, call.body, context_.now());
  if (!complaints.is_null()) co_return schema_violation(complaints);
  co_return co_await write(type, Operation::insert, std::move(call.body), 201);
}

Task<Reply> Rows::item(const Type& type, const std::string& key, Call& call, std::optional<Parent> parent) {
  if (call.method == "GET") {
    Found found = co_await find(type, key, parent);
    if (found.wrong) co_return std::move(*found.wrong);
    if (!found.row) co_return missing(type, found);
    co_return co_await shown(type, 200, *found.row);
  }
  const Writer::Pass pass = co_await context_.writer.enter();
  // A row of another parent is not found here, but replacing one brings it here.
  std::optional<Parent> where = parent;
  if (call.method == "PUT" && !type.endpoint_key.empty()) where.reset();
  Found found = co_await find(type, key, std::move(where));
  if (found.wrong) co_return std::move(*found.wrong);
  if (parent && !found.row && call.method != "PUT") co_return not_found();
  if (call.method == "PUT") co_return co_await replace(type, key, std::move(found), call, parent);
  if (!type.named_by_entity.empty() && !found.row && !found.id) co_return missing(type, found);
  if (call.method == "PATCH") co_return co_await change(type, key, std::move(found), call);
  co_return co_await remove(type, std::move(found));
}

Task<Reply> Rows::replace(const Type& type, const std::string& key, Found found, Call& call, std::optional<Parent> parent) {
  if (!call.body.is_object()) co_return message(400, "Cannot parse JSON body");
  if (call.body_is_text) entity::coerce(type, call.body, found.row ? *found.row : Json());
  Json& document = call.body;
  if (found.id) {
    document["id"] = found.id->to_string();
  } else {
    document.erase("id");
  }
  const bool is_id = Uuid::parse(key).has_value();
  if (!is_id && !type.named_by_entity.empty()) {
    // A name that nobody has yet becomes the new row's.
    Json& names = document[type.named_by_entity];
    if (names.is_null()) names = Json::array();
    if (!found.row && names.is_array() && std::find(names.begin(), names.end(), Json(key)) == names.end()) names.push_back(key);
  } else if (!is_id) {
    document[type.endpoint_key.empty() ? type.cache_key[1] : type.endpoint_key] = key;
  }
  if (parent) document[parent->field] = key_of(parent->id);
  std::optional<Reply> wrong = co_await resolve_foreign(type, document);
  if (wrong) co_return std::move(*wrong);
  const Json complaints = entity::complete(type, document, context_.now());
  if (!complaints.is_null()) co_return schema_violation(complaints);
  co_return co_await write(type, Operation::upsert, std::move(document), 200);
}

Task<Reply> Rows::change(const Type& type, const std::string& key, Found found, Call& call) {
  if (!found.row) {
    if (found.id) co_return could_not_find(key_of(*found.id), true);
    co_return could_not_find({{type.endpoint_key.empty() ? type.cache_key[1] : type.endpoint_key, key}}, false);
  }
  if (!call.body.is_object()) co_return message(400, "Cannot parse JSON body");
  if (call.body_is_text) entity::coerce(type, call.body, *found.row);
  std::optional<Reply> wrong = co_await resolve_foreign(type, call.body);
  if (wrong) co_return std::move(*wrong);
  if (call.body.contains("id") && call.body["id"] != (*found.row)["id"]) co_return schema_violation({{"id", "immutable field cannot be updated"}});
  Json merged;
  const Json complaints = entity::update(type, *found.row, std::move(call.body), context_.now(), merged);
  if (!complaints.is_null()) co_return schema_violation(complaints);
  co_return co_await write(type, Operation::update, std::move(merged), 200);
}

Task<Reply> Rows::remove(const Type& type, Found found) {
  if (!found.row) co_return no_content();
  if (type.name == "ca_certificates") {
    std::optional<Reply> in_use = co_await certificates_.authority_in_use(*found.id);
    if (in_use) co_return std::move(*in_use);
  }
  std::vector<store::Write> writes;
  writes.push_back({Operation::remove, &type, *found.id, {}});
  const Result<store::Outcome> outcome = co_await context_.writer.write(std::move(writes));
  if (!outcome) co_return unexpected(outcome.error());
  if (const auto* refusal = std::get_if<store::Refusal>(&*outcome)) co_return refused(*refusal, type.name);
  co_return no_content();
}

Task<Reply> Rows::followed(const Type& child, const std::string& key, const entity::Foreign& foreign, Call& call) {
  Found found = co_await find(child, key, std::nullopt);
  if (found.wrong) co_return std::move(*found.wrong);
  if (!found.row) co_return not_found();
  const Type& parent = *context_.catalog.find(foreign.reference);
  const Json& id = schema::at_path(*found.row, foreign.field + ".id");
  if (id.is_string()) {
    if (call.method == "DELETE") co_return method_not_allowed();
    const std::string text = id.get<std::string>();
    co_return co_await item(parent, text, call, std::nullopt);
  }
  if (call.method != "PUT") co_return not_found();
  // A null key: the row is made, and then pointed to.
  const std::string fresh = Uuid::random().to_string();
  Reply made = co_await item(parent, fresh, call, std::nullopt);
  if (made.status != 200) co_return made;
  Call point;
  point.method = "PATCH";
  point.body[foreign.field] = Json{{"id", fresh}};
  const std::string child_key = found.id->to_string();
  const Reply pointed = co_await item(child, child_key, point, std::nullopt);
  if (pointed.status != 200) co_return pointed;
  co_return made;
}

Reply Rows::validate(const Type& type, Call& call) {
  if (!call.body.is_object()) return message(400, "Cannot parse JSON body");
  if (call.body_is_text) entity::coerce(type, call.body, nullptr);
  const Json complaints = entity::complete(type, call.body, context_.now());
  if (!complaints.is_null()) return schema_violation(complaints);
  return message(200, "schema validation successful");
}

}  // namespace gateway::admin
