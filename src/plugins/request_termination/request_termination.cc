#include "plugins/request_termination/request_termination.h"

#include <unistd.h>

#include "entity/fields.h"
#include "plugin/arguments.h"
#include "plugin/header_names.h"
#include "plugin/request_json.h"
#include "plugin/services.h"
#include "schema/record.h"

namespace gateway::plugins::request_termination {
namespace {

using nlohmann::json;
using plugin::Exchange;
using plugin::Flow;
using plugin::Step;

constexpr std::size_t max_echoed_body = 1 << 20;

std::string_view default_message(unsigned status) {
  switch (status) {
    case 401: return "Unauthorized";
    case 404: return "Not found";
    case 405: return "Method not allowed";
    case 500: return "An unexpected error occurred";
    case 502: return "Bad Gateway";
    case 503: return "Service unavailable";
    default: return "";
  }
}

std::string text_of(const json& config, const char* name) {
  const auto found = config.find(name);
  return found != config.end() && found->is_string() ? found->get<std::string>() : std::string();
}

class RequestTermination final : public plugin::Plugin {
 public:
  RequestTermination(const json& config, const plugin::Node& node)
      : node_(node),
        status_(config.value("status_code", 503U)),
        message_(text_of(config, "message")),
        content_type_(text_of(config, "content_type")),
        body_(text_of(config, "body")),
        trigger_(text_of(config, "trigger")),
        echo_(config.value("echo", false)) {
    if (message_.empty()) message_ = default_message(status_);
  }

  Step access(Exchange& exchange) const override {
    if (!trigger_.empty() && !triggered(exchange)) return Flow::next();
    if (echo_) return echo(exchange);
    http::Reply reply;
    reply.status = status_;
    if (!body_.empty()) {
      reply.content_type = content_type_;
      reply.body = body_;
    } else if (!message_.empty()) {
      reply.content_type = "application/json; charset=utf-8";
      reply.body = write_json(json{{"message", message_}});
    }
    return Flow::reply(std::move(reply));
  }

 private:
  bool triggered(const Exchange& exchange) const {
    if (plugin::find_header(exchange.request().headers, trigger_) != nullptr) return true;
    std::string_view query = exchange.request().query;
    while (const std::optional<plugin::Argument> argument = plugin::next_argument(query)) {
      if (plugin::decodes_to(argument->name, trigger_)) return true;
    }
    return false;
  }

  // Shows who sent the request what arrived here.
  Task<Flow> echo(Exchange& exchange) const {
    const http::RequestHead& head = exchange.request();
    std::string_view body;
    if (exchange.body != nullptr) {
      const Result<std::string_view> read = co_await exchange.body->read_all(max_echoed_body);
      if (read) body = *read;
    }
    json request = {{"scheme", exchange.connection().tls ? "https" : "http"},
                    {"host", plugin::host_of(head.authority)},
                    {"port", exchange.connection().server_port},
                    {"headers", plugin::headers_json(head.headers, plugin::Secrets::shown)},
                    {"query", plugin::arguments_json(head.query, exchange.arena())},
                    {"raw_body", body},
                    {"method", head.method},
                    {"path", head.path},
                    {"uri_captures", {{"unnamed", json::array()}, {"named", json::object()}}}};
    const std::string_view type = head.headers.value(http::Name::content_type);
    if (std::optional<json> fields = plugin::body_json(type, body, exchange.arena())) request["body"] = std::move(*fields);
    json out = {{"kong", {{"node_id", node_.id}, {"worker_pid", ::getpid()}, {"hostname", node_.hostname}}}, {"request", std::move(request)}};
    if (!message_.empty()) out["message"] = message_;
    if (exchange.route != nullptr) out["matched_route"] = parse_json(exchange.route->document);
    if (exchange.service != nullptr) out["matched_service"] = parse_json(exchange.service->document);
    http::Reply reply;
    reply.status = status_;
    reply.content_type = "application/json; charset=utf-8";
    reply.body = write_json(out);
    co_return Flow::reply(std::move(reply));
  }

  const plugin::Node& node_;
  unsigned status_;
  std::string message_;
  std::string content_type_;
  std::string body_;
  std::string trigger_;
  bool echo_;
};

std::optional<json> check(const json& config) {
  const auto is_set = [&](const char* name) { return config.contains(name) && config[name].is_string(); };
  if (is_set("message") && (is_set("content_type") || is_set("body"))) return "message cannot be used with content_type or body";
  if (is_set("content_type") && !is_set("body")) return "content_type requires a body";
  if (config.value("echo", false) && (is_set("content_type") || is_set("body"))) return "echo cannot be used with content_type and body";
  return std::nullopt;
}

}  // namespace

plugin::PluginType type() {
  using schema::Record;
  plugin::PluginType type;
  type.name = "request-termination";
  type.priority = 2;
  type.phases = plugin::Phase::access;
  type.schema = std::make_shared<const Record>(std::vector<Record::Named>{
      entity::plugin_protocols(),
      {"config",
       schema::record_of(Record({
                             {"status_code", schema::integer().required().default_value(503).between(100, 599).describe("The status to answer with.")},
                             {"message", schema::string().describe("What the answer says, in a JSON object.")},
                             {"content_type", schema::string().describe("The type of `body`.")},
                             {"body", schema::string().describe("The whole body of the answer.")},
                             {"echo", schema::boolean().required().default_value(false).describe("Answer with what the request looked like.")},
                             {"trigger", entity::header_name_text().describe("Only requests with this header or query argument.")},
                         }))
           .required()
           .rule(check)},
  });
  type.make = [](const entity::PluginConfig& row, const plugin::Services& services) -> Result<std::unique_ptr<plugin::Plugin>> {
    return std::unique_ptr<plugin::Plugin>(std::make_unique<RequestTermination>(row.config, services.node));
  };
  return type;
}

}  // namespace gateway::plugins::request_termination
