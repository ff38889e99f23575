#include "admin/answers.h"

#include <fmt/format.h>

#include "base/log.h"
#include "schema/document.h"

namespace gateway::admin {
namespace {

http::Reply error_object(unsigned status, int code, std::string_view name, std::string_view text, Json fields = nullptr, const char* under = "fields") {
  Json body = {{"code", code}, {"name", name}, {"message", text}};
  if (!fields.is_null()) body[under] = std::move(fields);
  return json_reply(status, body);
}

}  // namespace

http::Reply json_reply(unsigned status, const Json& body) {
  http::Reply reply;
  reply.status = status;
  reply.content_type = "application/json; charset=utf-8";
  reply.body = write_json(body);
  return reply;
}

http::Reply message(unsigned status, std::string_view text) { return json_reply(status, {{"message", text}}); }

http::Reply no_content() {
  http::Reply reply;
  reply.status = 204;
  return reply;
}

http::Reply not_found() { return message(404, "Not found"); }
http::Reply method_not_allowed() { return message(405, "Method not allowed"); }

http::Reply unexpected(const Error& error) {
  log::error("{}", error.to_string());
  return message(500, "An unexpected error occurred");
}

http::Reply schema_violation(const Json& complaints) { return error_object(400, 2, "schema violation", schema::summary(complaints), complaints); }

http::Reply invalid_primary_key(std::string_view given) {
  const Json key = {{"id", given}};
  return error_object(400, 1, "invalid primary key", fmt::format("invalid primary key: '{}'", schema::print_key(key)), {{"id", "expected a valid UUID"}});
}

http::Reply invalid_unique(std::string_view field, const std::string& complaint) {
  return error_object(400, 10, fmt::format("invalid unique {}", field), complaint);
}

http::Reply could_not_find(const Json& key, bool primary) {
  return error_object(404, 6, "not found", fmt::format("could not find the entity with {}'{}'", primary ? "primary key " : "", schema::print_key(key)), key);
}

http::Reply invalid_offset(std::string_view offset, std::string_view why) {
  return error_object(400, 7, "invalid offset", fmt::format("'{}' is not a valid offset: {}", offset, why));
}

http::Reply invalid_size(std::string_view why) { return error_object(400, 9, "invalid size", why); }

http::Reply invalid_option(std::string_view option, std::string_view why) {
  Json options = Json::object();
  options[std::string(option)] = why;
  return error_object(400, 11, "invalid options", fmt::format("invalid option ({}: {})", option, why), options, "options");
}

http::Reply unresolved_foreign_key(std::string_view field, const Json& key, std::string_view parent) {
  const std::string inner = key.is_object() && !key.empty() ? key.begin().key() : "id";
  const std::string why = fmt::format("the foreign key cannot be resolved with '{}' for an existing '{}' entity", schema::print_key(key), parent);
  Json fields = Json::object();
  fields[std::string(field)] = Json{{inner, why}};
  return error_object(400, 13, "foreign keys unresolved", fmt::format("foreign key unresolved ({}.{}: {})", field, inner, why), fields);
}

http::Reply missing_parent(std::string_view field, const Json& key, std::string_view parent) {
  Json fields = Json::object();
  fields[std::string(field)] = key;
  return error_object(400, 4, "foreign key violation",
                      fmt::format("the foreign key '{}' does not reference an existing '{}' entity.", schema::print_key(key), parent), fields);
}

http::Reply referenced_by_others(std::string_view why) { return error_object(400, 19, "referenced by others", why); }

http::Reply refused(const store::Refusal& refusal, std::string_view type) {
  using Reason = store::Refusal::Reason;
  switch (refusal.reason) {
    case Reason::primary_key:
      return error_object(400, 3, "primary key violation", fmt::format("primary key violation on key '{}'", schema::print_key(refusal.fields)), refusal.fields);
    case Reason::unique:
      return error_object(409, 5, "unique constraint violation", fmt::format("UNIQUE violation detected on '{}'", schema::print_key(refusal.fields)),
                          refusal.fields);
    case Reason::missing_parent: {
      const bool named = refusal.fields.is_object() && !refusal.fields.empty();
      return missing_parent(named ? refusal.fields.begin().key() : "", named ? *refusal.fields.begin() : Json(), refusal.entity);
    }
    case Reason::still_referenced:
      return error_object(400, 4, "foreign key violation", fmt::format("an existing '{}' entity references this '{}' entity", refusal.entity, type),
                          {{"@referenced_by", refusal.entity}});
    case Reason::not_found: return could_not_find(refusal.fields, true);
  }
  return message(500, "An unexpected error occurred");
}

}  // namespace gateway::admin
