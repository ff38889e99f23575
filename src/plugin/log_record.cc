#include "plugin/log_record.h"

#include "plugin/arguments.h"

namespace gateway::plugin {
namespace {

using nlohmann::json;

// A second value makes a list.
void add(json& object, std::string name, json value) {
  json& slot = object[std::move(name)];
  if (slot.is_null()) {
    slot = std::move(value);
  } else if (slot.is_array()) {
    slot.push_back(std::move(value));
  } else {
    slot = json::array({std::move(slot), std::move(value)});
  }
}

json headers_of(const http::Headers& headers) {
  json out = json::object();
  for (const http::Header& header : headers) {
    std::string name(header.name);
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    const bool secret = header.id == http::Name::authorization || header.id == http::Name::proxy_authorization;
    add(out, std::move(name), secret ? json("REDACTED") : json(std::string(header.value)));
  }
  return out;
}

json query_of(std::string_view query, http::Arena& arena) {
  json out = json::object();
  while (const std::optional<Argument> argument = next_argument(query)) {
    add(out, std::string(decoded(argument->name, arena)), argument->has_value ? json(std::string(decoded(argument->value, arena))) : json(true));
  }
  return out;
}

json tries_of(const std::pmr::vector<Try>& tries) {
  json out = json::array();
  for (const Try& one : tries) {
    using namespace std::chrono;
    json each = {{"ip", one.peer.ip()},
                 {"port", one.peer.port()},
                 {"balancer_start", duration_cast<milliseconds>(one.started.time_since_epoch()).count()},
                 {"balancer_start_ns", duration_cast<nanoseconds>(one.started.time_since_epoch()).count()},
                 {"balancer_latency", duration_cast<milliseconds>(one.balancer_latency).count()},
                 {"balancer_latency_ns", duration_cast<nanoseconds>(one.balancer_latency).count()}};
    if (one.failed_with != 0) {
      each["state"] = "failed";
      each["code"] = one.failed_with;
    }
    out.push_back(std::move(each));
  }
  return out;
}

json request_of(const Record& record) {
  const Exchange& exchange = record.exchange;
  const http::RequestHead& head = exchange.request();
  const Connection& client = exchange.connection();
  std::string_view host = head.authority;
  // The colons of an IPv6 address are inside brackets.
  if (const std::size_t colon = host.rfind(':'); colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos) host = host.substr(0, colon);
  return {{"id", exchange.request_id},
          {"uri", head.target},
          {"url", (client.tls ? "https://" : "http://") + std::string(host) + ":" + std::to_string(client.server_port) + std::string(head.target)},
          {"querystring", query_of(head.query, exchange.arena())},
          {"method", head.method},
          {"headers", headers_of(head.headers)},
          {"size", record.request_size}};
}

}  // namespace

json log_record(const Record& record) {
  const Exchange& exchange = record.exchange;
  json out = {{"request", request_of(record)},
              {"upstream_uri", record.upstream_uri},
              {"upstream_status", record.upstream_status == 0 ? std::string() : std::to_string(record.upstream_status)},
              {"response",
               {{"status", record.status},
                {"headers", record.response_headers != nullptr ? headers_of(*record.response_headers) : json::object()},
                {"size", record.response_size}}},
              {"latencies",
               {{"kong", record.kong_latency.count()},
                {"proxy", record.upstream_latency ? record.upstream_latency->count() : -1},
                {"request", record.request_latency.count()},
                {"receive", record.receive_latency.count()}}},
              {"client_ip", exchange.connection().client_ip},
              {"started_at", std::chrono::duration_cast<std::chrono::milliseconds>(exchange.started.time_since_epoch()).count()},
              {"source", record.source == Record::Source::upstream ? "upstream" : "kong"},
              {"workspace", ""},
              {"workspace_name", "default"}};
  if (record.tries != nullptr && !record.tries->empty()) out["tries"] = tries_of(*record.tries);
  if (exchange.credential) {
    out["authenticated_entity"] = {{"id", exchange.credential->id_text}};
    if (exchange.credential->consumer) out["authenticated_entity"]["consumer_id"] = exchange.credential->consumer->to_string();
  }
  if (exchange.route != nullptr) out["route"] = json::parse(exchange.route->document, nullptr, false);
  if (exchange.service != nullptr) out["service"] = json::parse(exchange.service->document, nullptr, false);
  if (exchange.consumer && exchange.consumer->document) out["consumer"] = *exchange.consumer->document;
  if (!exchange.correlation_id.empty()) out["correlation_id"] = exchange.correlation_id;
  return out;
}

}  // namespace gateway::plugin
