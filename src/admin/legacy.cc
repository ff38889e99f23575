#include "admin/legacy.h"

#include <charconv>
#include <cmath>
#include <iterator>

#include "admin/legacy_list.h"
#include "admin/legacy_words.h"
#include "admin/paging.h"
#include "entity/row.h"
#include "schema/record.h"

namespace gateway::admin {
namespace {

using http::Reply;
using store::Operation;

constexpr std::size_t scan_page = 1000;

Uuid id_of(const Json& row) { return *Uuid::parse(row["id"].get_ref<const std::string&>()); }

Json old_plugin(const Json& row) {
  Json out = Json::object();
  for (const auto& [name, value] : row.items()) {
    if (!value.is_null()) out[name] = value;
  }
  if (const Json& id = schema::at_path(row, "service.id"); id.is_string()) out["api_id"] = id;
  if (const Json& id = schema::at_path(row, "consumer.id"); id.is_string()) out["consumer_id"] = id;
  for (const char* time : {"created_at", "updated_at"}) {
    if (out.contains(time) && out[time].is_number_integer()) out[time] = out[time].get<std::int64_t>() * 1000;
  }
  return out;
}

Reply with_old_plugin(Reply reply) {
  if (reply.status >= 300 || reply.body.empty()) return in_old_words(std::move(reply));
  return json_reply(reply.status, old_plugin(parse_json(reply.body)));
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// Lists came as one text with commas; the empty text was none.
void split_lists(const schema::Record& record, Json& config) {
  for (auto& [name, value] : config.items()) {
    const schema::Field* field = record.find(name);
    if (field == nullptr) continue;
    if (field->record() != nullptr && value.is_object()) split_lists(*field->record(), value);
    const bool list = field->type() == schema::Type::array || field->type() == schema::Type::set;
    if (!list || !value.is_string() || value.get_ref<const std::string&>().empty()) continue;
    Json parts = Json::array();
    std::string_view rest = value.get_ref<const std::string&>();
    while (true) {
      const std::size_t comma = rest.find(',');
      parts.push_back(std::string(trimmed(rest.substr(0, comma))));
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
    value = std::move(parts);
  }
}

// Milliseconds there, seconds here.
void take_time(Json& body, const char* name) {
  const auto given = body.find(name);
  if (given == body.end()) return;
  const std::string text = given->is_string() ? given->get<std::string>() : write_json(*given);
  double milliseconds = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), milliseconds);
  if (parsed.ec == std::errc() && parsed.ptr == text.data() + text.size()) *given = std::floor(milliseconds / 1000);
}

// From that generation's spelling to today's; an answer when there is no such plugin or it may not be changed so.
std::optional<Reply> read_old_plugin(const entity::Type& plugins, Call& call, const Json& existing) {
  if (!call.body.is_object()) return std::nullopt;
  call.body_is_text = true;
  call.body.erase("api_id");
  take_time(call.body, "created_at");
  if (call.body.contains("consumer_id")) {
    const Json id = call.body["consumer_id"];
    call.body.erase("consumer_id");
    if (!id.is_null() && id != "") call.body["consumer"] = Json{{"id", id}};
  }
  Json named = existing.is_object() ? existing : Json::object();
  if (call.body.contains("name")) {
    if (existing.is_object() && call.body["name"] != existing["name"]) return json_reply(400, {{"name", "name cannot be updated"}});
    named["name"] = call.body["name"];
  }
  const auto record = plugins.subschema(named);
  if (!record && named.contains("name") && named["name"].is_string()) {
    return json_reply(400, {{"name", "Plugin \"" + named["name"].get<std::string>() + "\" not found"}});
  }
  const schema::Field* config = record ? record->find("config") : nullptr;
  if (config != nullptr && config->record() != nullptr && call.body.contains("config") && call.body["config"].is_object()) {
    split_lists(*config->record(), call.body["config"]);
  }
  return std::nullopt;
}

// What names a row and when it was made stays.
Json immutable_complaints(const Json& given, const Json& shown) {
  Json errors = Json::object();
  for (const char* name : {"id", "created_at"}) {
    if (!given.contains(name) || given[name].is_null()) continue;
    const auto text = [](const Json& value) { return value.is_string() ? value.get<std::string>() : write_json(value); };
    if (text(given[name]) != text(shown[name])) errors[name] = std::string(name) + " cannot be updated";
  }
  return errors;
}

}  // namespace

Task<Legacy::Found> Legacy::with_route(Json service) {
  Found found;
  const Uuid id = id_of(service);
  auto work = [&] { return context_.store.get(*context_.catalog.find("routes"), id); };
  const Result<std::optional<Json>> route = co_await context_.pool.run(work);
  if (!route) {
    found.wrong = unexpected(route.error());
  } else if (*route && schema::at_path(**route, "service.id") == service["id"]) {
    found.api = LegacyApi{std::move(service), **route};
  }
  co_return found;
}

Task<Legacy::Found> Legacy::find(std::string key) {
  const entity::Type& services = *context_.catalog.find("services");
  Rows::Found service = co_await rows_.find(services, key, std::nullopt);
  Found found;
  if (service.row) {
    found = co_await with_route(std::move(*service.row));
  } else if (service.wrong && service.wrong->status == 500) {
    found.wrong = std::move(service.wrong);
  }
  if (!found.api && !found.wrong) found.wrong = not_found();
  co_return found;
}

Task<Reply> Legacy::list(Call& call) {
  LegacyList list;
  std::optional<Reply> wrong = list.read(call, is_legacy_field);
  if (wrong) co_return std::move(*wrong);
  store::PageRequest request;
  request.size = scan_page;
  for (bool more = true; more;) {
    auto work = [&] { return context_.store.page(*context_.catalog.find("services"), request); };
    const Result<store::Page> page = co_await context_.pool.run(work);
    if (!page) co_return unexpected(page.error());
    for (const Json& service : page->rows) {
      Found found = co_await with_route(service);
      if (found.wrong) co_return std::move(*found.wrong);
      if (found.api) list.offer(id_of(service), show_legacy_api(*found.api));
    }
    request.after = page->next;
    more = page->next.has_value();
  }
  co_return list.reply(call, "/apis/");
}

Task<Reply> Legacy::save(Json given, std::optional<LegacyApi> existing, Over over, unsigned status) {
  const entity::Type& services = *context_.catalog.find("services");
  const entity::Type& routes = *context_.catalog.find("routes");
  LegacyApi api = over == Over::existing ? *existing : LegacyApi{};
  const Spelling spelling = spelling_of(given);
  const Json complaints = read_legacy_api(std::move(given), api);
  if (!complaints.is_null()) co_return json_reply(400, complaints);
  if (existing) {
    api.service["id"] = api.route["id"] = existing->service["id"];
    api.service["created_at"] = existing->service["created_at"];
    api.route["created_at"] = existing->route["created_at"];
  }
  const Json wrong_service = entity::complete(services, api.service, context_.now());
  if (!wrong_service.is_null()) co_return json_reply(400, legacy_complaints(wrong_service, spelling));
  api.route["id"] = api.service["id"];
  api.route["service"] = Json{{"id", api.service["id"]}};
  const Json wrong_route = entity::complete(routes, api.route, context_.now());
  if (!wrong_route.is_null()) co_return json_reply(400, legacy_complaints(wrong_route, spelling));

  const Uuid id = id_of(api.service);
  const Operation operation = existing ? Operation::update : Operation::insert;
  std::vector<store::Write> writes;
  writes.push_back({operation, &services, id, api.service});
  writes.push_back({operation, &routes, id, api.route});
  if (existing) {
    Certificates::Plan names = co_await ssl_.follow(api);
    if (names.wrong) co_return in_old_words(std::move(*names.wrong));
    std::move(names.writes.begin(), names.writes.end(), std::back_inserter(writes));
  }
  const Result<store::Outcome> outcome = co_await context_.writer.write(std::move(writes));
  if (!outcome) co_return unexpected(outcome.error());
  if (const auto* refusal = std::get_if<store::Refusal>(&*outcome)) {
    if (refusal->reason == store::Refusal::Reason::unique || refusal->reason == store::Refusal::Reason::primary_key) {
      co_return json_reply(409, already_exists(refusal->fields));
    }
    co_return in_old_words(refused(*refusal, "apis"));
  }
  co_return json_reply(status, show_legacy_api(api));
}

Task<Reply> Legacy::create(Call& call) {
  const Writer::Pass pass = co_await context_.writer.enter();
  co_return co_await save(std::move(call.body), std::nullopt, Over::nothing, 201);
}

Task<Reply> Legacy::put(Call& call) {
  const bool has_id = call.body.is_object() && call.body.contains("id") && call.body["id"].is_string();
  const Writer::Pass pass = co_await context_.writer.enter();
  if (!has_id) co_return co_await save(std::move(call.body), std::nullopt, Over::nothing, 201);
  Found found = co_await find(call.body["id"].get<std::string>());
  if (found.wrong) co_return std::move(*found.wrong);
  co_return co_await save(std::move(call.body), std::move(*found.api), Over::nothing, 200);
}

Task<Reply> Legacy::item(Call& call) {
  if (call.method == "GET") {
    Found found = co_await find(call.path[1]);
    if (found.wrong) co_return std::move(*found.wrong);
    co_return json_reply(200, show_legacy_api(*found.api));
  }
  const Writer::Pass pass = co_await context_.writer.enter();
  Found found = co_await find(call.path[1]);
  if (found.wrong) co_return std::move(*found.wrong);
  if (call.method == "DELETE") co_return co_await remove(std::move(*found.api));
  if (!call.body.is_object() || call.body.empty()) co_return message(400, "empty body");
  const Json errors = immutable_complaints(call.body, show_legacy_api(*found.api));
  if (!errors.empty()) co_return json_reply(400, errors);
  co_return co_await save(std::move(call.body), std::move(*found.api), Over::existing, 200);
}

Task<Reply> Legacy::remove(LegacyApi api) {
  const Uuid id = id_of(api.service);
  const Result<std::optional<Json>> certificate = co_await ssl_.find(id);
  if (!certificate) co_return unexpected(certificate.error());
  std::vector<store::Write> writes;
  // The service's plugins go with it, the one that is a certificate too; its route has to go first.
  if (*certificate) writes.push_back({Operation::remove, context_.catalog.find("certificates"), id_of(**certificate), {}});
  writes.push_back({Operation::remove, context_.catalog.find("routes"), id, {}});
  writes.push_back({Operation::remove, context_.catalog.find("services"), id, {}});
  const Result<store::Outcome> outcome = co_await context_.writer.write(std::move(writes));
  if (!outcome) co_return unexpected(outcome.error());
  if (const auto* refusal = std::get_if<store::Refusal>(&*outcome)) co_return in_old_words(refused(*refusal, "services"));
  co_return no_content();
}

Task<Reply> Legacy::list_plugins(Call& call, const LegacyApi& api) {
  const entity::Type& plugins = *context_.catalog.find("plugins");
  const Uuid api_id = id_of(api.service);
  Result<std::optional<Json>> ssl = co_await ssl_.find(api_id);
  if (!ssl) co_return unexpected(ssl.error());
  LegacyList list;
  std::optional<Reply> wrong =
      list.read(call, [&](const std::string& name) { return name == "api_id" || name == "consumer_id" || plugins.schema->find(name) != nullptr; });
  if (wrong) co_return std::move(*wrong);
  store::PageRequest request;
  request.size = scan_page;
  request.parent_field = "service";
  request.parent = api_id;
  // Offered in the order of ids, as pages are cut by them.
  const auto offer_ssl = [&](const std::optional<Uuid>& before) {
    if (!*ssl || (before && *before < id_of(**ssl))) return;
    list.offer(id_of(**ssl), LegacySsl::show(api, **ssl));
    ssl->reset();
  };
  for (bool more = true; more;) {
    auto work = [&] { return context_.store.page(plugins, request); };
    const Result<store::Page> page = co_await context_.pool.run(work);
    if (!page) co_return unexpected(page.error());
    for (const Json& row : page->rows) {
      offer_ssl(id_of(row));
      list.offer(id_of(row), old_plugin(entity::shown(plugins, row)));
    }
    request.after = page->next;
    more = page->next.has_value();
  }
  offer_ssl(std::nullopt);
  co_return list.reply(call, "/apis/" + percent_encoded(call.path[1]) + "/plugins/");
}

Task<Reply> Legacy::plugins(Call& call) {
  Found found = co_await find(call.path[1]);
  if (found.wrong) co_return std::move(*found.wrong);
  const Parent parent{"service", id_of(found.api->service)};
  const entity::Type& plugins = *context_.catalog.find("plugins");
  if (call.method == "GET") co_return co_await list_plugins(call, *found.api);
  if (call.body.is_object() && call.body.value("name", Json()) == "ssl") co_return co_await put_ssl(call);
  std::optional<Reply> wrong = read_old_plugin(plugins, call, nullptr);
  if (wrong) co_return std::move(*wrong);
  const bool has_id = call.body.is_object() && call.body.contains("id") && call.body["id"].is_string();
  if (call.method == "PUT" && has_id) {
    const std::string id = call.body["id"].get<std::string>();
    Reply replaced = co_await rows_.item(plugins, id, call, parent);
    co_return with_old_plugin(std::move(replaced));
  }
  Reply made = co_await rows_.create(plugins, call, parent);
  co_return with_old_plugin(std::move(made));
}

Task<Reply> Legacy::plugin(Call& call) {
  Found found = co_await find(call.path[1]);
  if (found.wrong) co_return std::move(*found.wrong);
  const Parent parent{"service", id_of(found.api->service)};
  const entity::Type& plugins = *context_.catalog.find("plugins");
  Rows::Found row = co_await rows_.find(plugins, call.path[3], parent);
  if (row.wrong) co_return in_old_words(std::move(*row.wrong));
  if (!row.row) co_return co_await ssl_item(call);
  if (call.method == "PATCH") {
    if (!call.body.is_object() || call.body.empty()) co_return message(400, "empty body");
    std::optional<Reply> wrong = read_old_plugin(plugins, call, *row.row);
    if (wrong) co_return std::move(*wrong);
  }
  Reply reply = co_await rows_.item(plugins, call.path[3], call, parent);
  co_return with_old_plugin(std::move(reply));
}

Task<Reply> Legacy::put_ssl(Call& call) {
  const Writer::Pass pass = co_await context_.writer.enter();
  Found found = co_await find(call.path[1]);
  if (found.wrong) co_return std::move(*found.wrong);
  const Uuid api_id = id_of(found.api->service);
  Result<std::optional<Json>> existing = co_await ssl_.find(api_id);
  if (!existing) co_return unexpected(existing.error());
  const bool replaces = *existing && call.method == "PUT" && call.body.value("id", Json()) == (**existing)["id"];
  if (*existing && !replaces) co_return json_reply(409, already_exists({{"name", "ssl"}}));
  const unsigned status = replaces ? 200 : 201;
  co_return co_await ssl_.save(std::move(*found.api), std::move(*existing), std::move(call.body), LegacySsl::Over::nothing, status);
}

Task<Reply> Legacy::ssl_item(Call& call) {
  const Writer::Pass pass = co_await context_.writer.enter();
  Found found = co_await find(call.path[1]);
  if (found.wrong) co_return std::move(*found.wrong);
  const Uuid api_id = id_of(found.api->service);
  Result<std::optional<Json>> ssl = co_await ssl_.find(api_id);
  if (!ssl) co_return unexpected(ssl.error());
  if (!*ssl || id_of(**ssl) != Uuid::parse(call.path[3])) co_return not_found();
  if (call.method == "GET") co_return json_reply(200, LegacySsl::show(*found.api, **ssl));
  if (call.method == "DELETE") co_return co_await ssl_.remove(std::move(*found.api), std::move(**ssl));
  if (!call.body.is_object() || call.body.empty()) co_return message(400, "empty body");
  if (call.body.contains("name") && call.body["name"] != "ssl") co_return json_reply(400, {{"name", "name cannot be updated"}});
  co_return co_await ssl_.save(std::move(*found.api), std::move(*ssl), std::move(call.body), LegacySsl::Over::existing, 200);
}

}  // namespace gateway::admin
