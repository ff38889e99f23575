#include "admin/information.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <set>

#include "admin/paging.h"
#include "base/log.h"
#include "entity/fields.h"
#include "schema/document.h"
#include "schema/record.h"

namespace gateway::admin {
namespace {

using http::Reply;

// The generation of the Admin API that is spoken: clients decide by it what they may ask for.
constexpr const char* api_version = "3.9.1";

// Memory as /status prints it: whole bytes, or a number with its unit.
std::optional<Json> memory_text(double bytes, const std::string& unit, int scale) {
  if (unit == "b" || unit == "B") return Json(static_cast<std::int64_t>(bytes));
  if (unit == "k" || unit == "K") return Json(fmt::format("{:.{}f} KiB", bytes / 1024, scale));
  if (unit == "m" || unit == "M") return Json(fmt::format("{:.{}f} MiB", bytes / 1024 / 1024, scale));
  if (unit == "g" || unit == "G") return Json(fmt::format("{:.{}f} GiB", bytes / 1024 / 1024 / 1024, scale));
  return std::nullopt;
}

double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  double total = 0;
  double resident = 0;
  file >> total >> resident;
  return resident * 4096;
}

std::vector<std::string> plugin_names(const Context& context) {
  std::vector<std::string> names;
  for (const plugin::PluginType& type : context.plugins) names.push_back(type.name);
  std::sort(names.begin(), names.end());
  return names;
}

// An argument of the query or the body; nullopt when it is no number.
std::optional<std::int64_t> seconds_of(const Call& call, const std::string& name, std::int64_t otherwise) {
  constexpr double longest = 1e9;
  std::optional<std::string> text = call.argument(name);
  if (const auto given = call.body.find(name); given != call.body.end()) {
    if (!given->is_number() && !given->is_string()) return std::nullopt;
    text = given->is_string() ? given->get<std::string>() : given->dump();
  }
  if (!text) return otherwise;
  double number = 0;
  const auto parsed = std::from_chars(text->data(), text->data() + text->size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != text->data() + text->size() || !(std::abs(number) < longest)) return std::nullopt;
  return static_cast<std::int64_t>(std::floor(number));
}

// Entities that have a schema and no rows of their own: a view onto others' tags.
std::shared_ptr<const schema::Record> schema_without_rows(const std::string& name) {
  if (name != "tags") return nullptr;
  return std::make_shared<const schema::Record>(std::vector<schema::Record::Named>{
      {"tag", schema::string().required().describe("The tag.")},
      {"entity_name", schema::string().required().describe("The kind of what has it.")},
      {"entity_id", schema::string().required().uuid().automatic().describe("The id of what has it.")},
  });
}

const plugin::PluginType* find_plugin(const Context& context, const std::string& name) {
  const auto found = std::find_if(context.plugins.begin(), context.plugins.end(), [&](const plugin::PluginType& type) { return type.name == name; });
  return found == context.plugins.end() ? nullptr : &*found;
}

}  // namespace

Task<Reply> Information::root(Call&) {
  Json available = Json::object();
  for (const plugin::PluginType& type : context_.plugins) available[type.name] = {{"version", api_version}, {"priority", type.priority}};
  std::set<std::string> in_use;
  store::PageRequest request;
  request.size = 1000;
  for (bool more = true; more;) {
    auto work = [&] { return context_.store.page(*context_.catalog.find("plugins"), request); };
    const Result<store::Page> page = co_await context_.pool.run(work);
    if (!page) co_return unexpected(page.error());
    for (const Json& row : page->rows) in_use.insert(row.value("name", ""));
    request.after = page->next;
    more = page->next.has_value();
  }
  co_return json_reply(200, {{"tagline", "Welcome to " + context_.product.substr(0, context_.product.find('/'))},
                             {"version", api_version},
                             {"edition", "community"},
                             {"hostname", context_.node.hostname},
                             {"node_id", context_.node.id},
                             {"timers", {{"running", 0}, {"pending", 0}}},
                             {"plugins", {{"available_on_server", std::move(available)}, {"enabled_in_cluster", in_use}}},
                             {"lua_version", "LuaJIT 2.1.0-20231117"},
                             {"configuration", context_.configuration()},
                             {"pids", {{"master", ::getpid()}, {"workers", context_.worker_pids()}}},
                             {"sluice", context_.identity}});
}

Task<Reply> Information::status(Call& call) {
  const std::string unit = call.argument("unit").value_or("m");
  int scale = 2;
  if (const std::optional<std::string> given = call.argument("scale")) {
    std::from_chars(given->data(), given->data() + given->size(), scale);
    scale = std::clamp(scale, 0, 10);
  }
  const std::optional<Json> resident = memory_text(resident_bytes(), unit, scale);
  if (!resident) co_return message(400, fmt::format("invalid unit '{}' (expected 'k/K', 'm/M', or 'g/G')", unit));
  auto work = [this] { return context_.store.last_change(); };
  const Result<std::int64_t> last = co_await context_.pool.run(work);
  const Counts counts = context_.counts();
  Json vms = Json::array();
  for (const int pid : context_.worker_pids()) vms.push_back({{"pid", pid}, {"http_allocated_gc", *resident}});
  co_return json_reply(200, {{"memory", {{"workers_lua_vms", std::move(vms)}, {"lua_shared_dicts", Json::object()}, {"resident", *resident}}},
                             {"server",
                              {{"connections_active", counts.active},
                               {"connections_reading", 0},
                               {"connections_writing", counts.active - counts.waiting},
                               {"connections_waiting", counts.waiting},
                               {"connections_accepted", counts.accepted},
                               {"connections_handled", counts.accepted},
                               {"total_requests", counts.requests}}},
                             {"database", {{"reachable", last.has_value()}}}});
}

Task<Reply> Information::ready(Call&) {
  if (context_.draining()) co_return message(503, "draining");
  if (!context_.ready()) co_return message(503, "router builds not yet complete");
  auto work = [this] { return context_.store.last_change(); };
  const Result<std::int64_t> last = co_await context_.pool.run(work);
  if (!last) co_return message(503, "failed to connect to database");
  co_return message(200, "ready");
}

Task<Reply> Information::enabled_plugins(Call&) { co_return json_reply(200, {{"enabled_plugins", plugin_names(context_)}}); }

Task<Reply> Information::schema(Call& call) {
  const entity::Type* type = context_.catalog.find(call.path[1]);
  const std::shared_ptr<const schema::Record> record = type != nullptr ? type->schema : schema_without_rows(call.path[1]);
  if (record == nullptr) co_return message(404, "No entity named '" + call.path[1] + "'");
  co_return json_reply(200, record->description());
}

Task<Reply> Information::plugin_schema(Call& call) {
  const plugin::PluginType* type = find_plugin(context_, call.path[2]);
  if (type == nullptr) co_return message(404, "No plugin named '" + call.path[2] + "'");
  co_return json_reply(200, type->schema->description());
}

Task<Reply> Information::plugin_config_schema(Call& call) {
  const plugin::PluginType* type = find_plugin(context_, call.path[2]);
  if (type == nullptr) co_return message(404, "No plugin named '" + call.path[2] + "'");
  co_return json_reply(200, type->schema->find("config")->description());
}

Task<Reply> Information::validate(Call& call) {
  const entity::Type* type = context_.catalog.find(call.path[1]);
  if (type == nullptr) co_return message(404, "No entity named '" + call.path[1] + "'");
  co_return rows_.validate(*type, call);
}

Task<Reply> Information::tags(Call& call) {
  const std::optional<std::string> tag = call.path.size() > 1 ? std::optional(call.path[1]) : std::nullopt;
  if (tag) {
    static const schema::Field rule = *entity::tags_field().second.elements();
    if (const std::optional<Json> wrong = rule.complaint(Json(*tag))) co_return invalid_unique("tag", wrong->get<std::string>());
  }
  std::size_t size = 100;
  if (const std::optional<std::string> given = call.argument("size")) {
    const auto parsed = std::from_chars(given->data(), given->data() + given->size(), size);
    if (parsed.ec != std::errc() || parsed.ptr != given->data() + given->size()) co_return invalid_size("size must be a number");
    if (size < 1 || size > 1000) co_return invalid_size("size must be an integer between 1 and 1000");
  }
  std::size_t skip = 0;
  if (const std::optional<std::string> offset = call.argument("offset")) {
    const auto parsed = std::from_chars(offset->data(), offset->data() + offset->size(), skip);
    if (parsed.ec != std::errc() || parsed.ptr != offset->data() + offset->size()) co_return invalid_offset(*offset, "bad base64 encoding");
  }
  // One more than asked for tells whether there is another page.
  auto work = [&] { return context_.store.tagged(tag ? std::optional<std::string_view>(*tag) : std::nullopt, size + 1, skip); };
  const Result<std::vector<store::Tagged>> found = co_await context_.pool.run(work);
  if (!found) co_return unexpected(found.error());
  Json body = {{"data", Json::array()}, {"next", nullptr}};
  for (std::size_t i = 0; i < std::min(size, found->size()); ++i) {
    const store::Tagged& each = (*found)[i];
    body["data"].push_back({{"tag", each.tag}, {"entity_name", each.entity}, {"entity_id", each.id.to_string()}});
  }
  if (found->size() > size) {
    const std::string offset = std::to_string(skip + size);
    body["offset"] = offset;
    body["next"] = call.raw_path + "?offset=" + offset + "&size=" + std::to_string(size);
  }
  co_return json_reply(200, body);
}

Task<Reply> Information::cached(Call& call) {
  if (!context_.population.holds(call.path[1])) co_return not_found();
  co_return json_reply(200, Json::object());
}

Task<Reply> Information::clear_cache(Call&) {
  context_.population.clear();
  co_return no_content();
}

Task<Reply> Information::log_level(Call& call) {
  const std::string current(log::name(log::level()));
  if (call.path.size() < 4) co_return message(200, "log level: " + current);
  const std::string& wanted = call.path[3];
  log::Level level{};
  if (!log::parse_level(wanted, level)) co_return message(400, "unknown log level: " + wanted);
  if (call.method == "GET") co_return method_not_allowed();
  const std::optional<std::int64_t> timeout = seconds_of(call, "timeout", 60);
  if (!timeout) co_return message(400, "timeout must be a number");
  if (*timeout < 0) co_return message(400, "timeout must be greater than or equal to 0");
  if (level == log::level()) co_return message(200, "log level is already " + wanted);
  context_.set_log_level(level, std::chrono::seconds(*timeout));
  co_return message(200, "log level changed");
}

Task<Reply> Information::timers(Call&) {
  co_return json_reply(200, {{"worker", {{"id", 0}, {"count", context_.worker_pids().size()}}},
                             {"stats", {{"sys", {{"total", 0}, {"runs", 0}, {"running", 0}, {"pending", 0}, {"waiting", 0}}}, {"timers", Json::object()}}}});
}

}  // namespace gateway::admin
