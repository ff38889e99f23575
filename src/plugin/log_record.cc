#include "plugin/log_record.h"

#include "plugin/request_json.h"

namespace gateway::plugin {
namespace {

using nlohmann::json;

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

// As nginx tells it: one after the other for all tries, "502, 200".
std::string statuses_of(const Record& record) {
  std::string out;
  const auto note = [&](unsigned status) { out += (out.empty() ? "" : ", ") + std::to_string(status); };
  if (record.tries != nullptr) {
    for (const Try& one : *record.tries) {
      if (one.failed_with != 0) note(one.failed_with);
    }
  }
  if (record.upstream_status != 0) note(record.upstream_status);
  return out;
}

json tls_of(std::string_view version, std::string_view cipher) { return {{"version", version}, {"cipher", cipher}, {"client_verify", "NONE"}}; }

json request_of(const Record& record) {
  const Exchange& exchange = record.exchange;
  const http::RequestHead& head = exchange.request();
  const Connection& client = exchange.connection();
  json out = {{"id", exchange.request_id},
              {"uri", head.target},
              {"url", (client.tls ? "https://" : "http://") + host_of(head.authority) + ":" + std::to_string(client.server_port) + std::string(head.target)},
              {"querystring", arguments_json(head.query, exchange.arena())},
              {"method", head.method},
              {"headers", headers_json(head.headers, Secrets::hidden)},
              {"size", record.request_size}};
  if (!client.tls_version.empty()) out["tls"] = tls_of(client.tls_version, client.tls_cipher);
  return out;
}

}  // namespace

json log_record(const Record& record) {
  const Exchange& exchange = record.exchange;
  json out = {{"request", request_of(record)},
              {"upstream_uri", record.upstream_uri},
              {"upstream_status", statuses_of(record)},
              {"response",
               {{"status", record.status},
                {"headers", record.response_headers != nullptr ? headers_json(*record.response_headers, Secrets::hidden) : json::object()},
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
