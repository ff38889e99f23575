#include "admin/legacy_ssl.h"

#include <algorithm>

#include "admin/legacy_words.h"
#include "base/ascii.h"
#include "entity/row.h"
#include "schema/record.h"

namespace gateway::admin {
namespace {

using http::Reply;
using store::Operation;

constexpr const char* only_https_tag = "only_https";
constexpr const char* accepts_terminated_tag = "accept_http_if_already_terminated";
constexpr const char* disabled_tag = "disabled";

std::string tag_of(const Uuid& api) { return "ssl:" + api.to_string(); }

Uuid id_of(const Json& row) { return Uuid::parse(row.value("id", "")).value_or(Uuid{}); }

bool has_tag(const Json& row, const std::string& tag) {
  const Json& tags = schema::at_path(row, "tags");
  return tags.is_array() && std::find(tags.begin(), tags.end(), Json(tag)) != tags.end();
}

bool wants_only_https(const Json& route) { return route.value("protocols", Json()) == Json{"https"}; }

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// That generation took "true" for true wherever it came from.
Json as_boolean(const Json& value) {
  if (!value.is_string()) return value;
  const std::string text = lower_case(trimmed(value.get<std::string>()));
  return text == "true" || text == "false" ? Json(text == "true") : value;
}

Json complaints_of(const Json& tree) {
  Json out = Json::object();
  for (const auto& [field, complaint] : tree.items()) {
    const bool missing = complaint == "required field missing";
    if (field == "cert") {
      out["config.cert"] = missing ? "cert is required" : "Invalid SSL certificate";
    } else if (field == "key") {
      out["config.key"] = missing ? "key is required" : "Invalid SSL certificate key";
    } else {
      out.update(flat_complaints({{field, complaint}}));
    }
  }
  return out;
}

Reply answer_to(const store::Refusal& refusal) {
  const bool taken = refusal.reason == store::Refusal::Reason::unique || refusal.reason == store::Refusal::Reason::primary_key;
  return taken ? json_reply(409, already_exists(refusal.fields)) : in_old_words(refused(refusal, "certificates"));
}

}  // namespace

struct LegacySsl::Config {
  Json cert;
  Json key;
  bool only_https = false;
  bool accepts_terminated = false;
  bool enabled = true;
};

Task<Result<std::optional<Json>>> LegacySsl::find(Uuid api) {
  store::PageRequest request;
  request.size = 1;
  request.tags = {tag_of(api)};
  auto work = [&] { return context_.store.page(*context_.catalog.find("certificates"), request); };
  Result<store::Page> page = co_await context_.pool.run(work);
  if (!page) co_return page.error();
  if (page->rows.empty()) co_return std::optional<Json>();
  co_return std::optional<Json>(std::move(page->rows.front()));
}

LegacySsl::Config LegacySsl::read_config(const LegacyApi& api, const Json& certificate) {
  Config config;
  config.cert = certificate["cert"];
  config.key = certificate["key"];
  config.enabled = !has_tag(certificate, disabled_tag);
  // The api may have been told otherwise since, as `https_only`.
  config.only_https = config.enabled ? wants_only_https(api.route) : has_tag(certificate, only_https_tag);
  config.accepts_terminated = has_tag(certificate, accepts_terminated_tag);
  return config;
}

Json LegacySsl::show(const LegacyApi& api, const Json& certificate) {
  const Config config = read_config(api, certificate);
  return {{"id", certificate["id"]},
          {"name", "ssl"},
          {"api_id", api.service["id"]},
          {"created_at", certificate.value("created_at", std::int64_t{0}) * 1000},
          {"enabled", config.enabled},
          {"config",
           {{"cert", config.cert}, {"key", config.key}, {"only_https", config.only_https}, {"accept_http_if_already_terminated", config.accepts_terminated}}}};
}

// Complaints, or an empty object.
Json LegacySsl::lay_over(Config& config, Json given) {
  Json errors = Json::object();
  const auto lay_flag = [&errors](const std::string& name, const Json& value, bool& flag, bool otherwise) {
    const Json read = as_boolean(value);
    if (read.is_boolean()) {
      flag = read.get<bool>();
    } else if (value.is_null() || value == "") {
      flag = otherwise;
    } else {
      errors[name] = name.substr(name.find('.') + 1) + " is not a boolean";
    }
  };
  if (given.contains("enabled")) lay_flag("enabled", given["enabled"], config.enabled, true);
  const Json fields = given.value("config", Json::object());
  if (!fields.is_object()) return {{"config", "config is not a table"}};
  for (const auto& [name, value] : fields.items()) {
    if (name == "cert" || name == "key") {
      (name == "cert" ? config.cert : config.key) = value.is_string() ? Json(trimmed(value.get<std::string>()) + "\n") : value;
    } else if (name == "only_https") {
      lay_flag("config." + name, value, config.only_https, false);
    } else if (name == "accept_http_if_already_terminated") {
      lay_flag("config." + name, value, config.accepts_terminated, false);
    } else if (name != "_cert_der_cache" && name != "_key_der_cache") {  // those were worked out, and came back
      errors["config." + name] = name + " is an unknown field";
    }
  }
  return errors;
}

// Hosts that no client can ask for in a handshake (addresses) have no certificate of their own.
std::vector<std::string> LegacySsl::names_of(const LegacyApi& api) const {
  std::vector<std::string> names;
  const schema::Field& rule = *context_.catalog.find("snis")->schema->find("name");
  const Json& hosts = schema::at_path(api.route, "hosts");
  for (const Json& host : hosts.is_array() ? hosts : Json::array()) {
    const bool twice = std::find(names.begin(), names.end(), host.get<std::string>()) != names.end();
    if (!twice && !rule.complaint(host)) names.push_back(host.get<std::string>());
  }
  return names;
}

Json LegacySsl::change_route(LegacyApi& api, const Config& before, const Config& after) const {
  const bool had = before.enabled && before.only_https;
  const bool wants = after.enabled && after.only_https;
  if (!had && !wants) return nullptr;
  Json errors = read_legacy_api({{"https_only", wants}, {"http_if_terminated", !wants || after.accepts_terminated}}, api);
  if (!errors.is_null()) return errors;
  const Json complaints = entity::complete(*context_.catalog.find("routes"), api.route, context_.now());
  return complaints.is_null() ? complaints : flat_complaints(complaints);
}

Task<Reply> LegacySsl::save(LegacyApi api, std::optional<Json> existing, Json given, Over over, unsigned status) {
  const entity::Type& certificates = *context_.catalog.find("certificates");
  const Uuid api_id = id_of(api.service);
  if (given.contains("consumer_id") && !given["consumer_id"].is_null() && given["consumer_id"] != "") {
    co_return message(400, "No consumer can be configured for that plugin");
  }
  const Json id = existing ? (*existing)["id"] : given.value("id", Json());
  if (existing && given.contains("id") && given["id"] != id) co_return json_reply(400, {{"id", "id cannot be updated"}});
  const Json route_before = api.route;
  const Config before = existing ? read_config(api, *existing) : Config{};
  Config config = over == Over::existing ? before : Config{};
  const Json errors = lay_over(config, std::move(given));
  if (!errors.empty()) co_return json_reply(400, errors);

  Json row = {{"cert", config.cert}, {"key", config.key}, {"tags", Json::array({tag_of(api_id)})}, {"snis", Json::array()}};
  if (config.only_https) row["tags"].push_back(only_https_tag);
  if (config.accepts_terminated) row["tags"].push_back(accepts_terminated_tag);
  if (!config.enabled) row["tags"].push_back(disabled_tag);
  if (config.enabled) row["snis"] = names_of(api);
  if (!id.is_null()) row["id"] = id;
  if (existing) row["created_at"] = (*existing)["created_at"];
  const Json complaints = entity::complete(certificates, row, context_.now());
  if (!complaints.is_null()) co_return json_reply(400, complaints_of(complaints));
  const Json wrong_route = change_route(api, before, config);
  if (!wrong_route.is_null()) co_return json_reply(400, wrong_route);

  const Operation operation = existing ? Operation::update : Operation::insert;
  Certificates::Plan plan = co_await certificates_.plan(operation, row);
  if (plan.wrong) co_return in_old_words(std::move(*plan.wrong));
  if (api.route != route_before) plan.writes.push_back({Operation::update, context_.catalog.find("routes"), id_of(api.route), api.route});
  const Result<store::Outcome> outcome = co_await context_.writer.write(std::move(plan.writes));
  if (!outcome) co_return unexpected(outcome.error());
  if (const auto* refusal = std::get_if<store::Refusal>(&*outcome)) co_return answer_to(*refusal);
  co_return json_reply(status, show(api, row));
}

Task<Reply> LegacySsl::remove(LegacyApi api, Json certificate) {
  const Json route_before = api.route;
  const Config before = read_config(api, certificate);
  const Json wrong = change_route(api, before, Config{});
  if (!wrong.is_null()) co_return json_reply(400, wrong);
  std::vector<store::Write> writes;
  writes.push_back({Operation::remove, context_.catalog.find("certificates"), id_of(certificate), {}});
  if (api.route != route_before) writes.push_back({Operation::update, context_.catalog.find("routes"), id_of(api.route), api.route});
  const Result<store::Outcome> outcome = co_await context_.writer.write(std::move(writes));
  if (!outcome) co_return unexpected(outcome.error());
  if (const auto* refusal = std::get_if<store::Refusal>(&*outcome)) co_return answer_to(*refusal);
  co_return no_content();
}

Task<Certificates::Plan> LegacySsl::follow(const LegacyApi& api) {
  Certificates::Plan plan;
  Result<std::optional<Json>> certificate = co_await find(id_of(api.service));
  if (!certificate) {
    plan.wrong = unexpected(certificate.error());
    co_return plan;
  }
  if (!*certificate || has_tag(**certificate, disabled_tag)) co_return plan;
  Json row = std::move(**certificate);
  row["snis"] = names_of(api);
  plan = co_await certificates_.plan(Operation::update, std::move(row));
  if (plan.writes.size() == 1) plan.writes.clear();  // the certificate alone: no name has changed
  co_return plan;
}

}  // namespace gateway::admin
