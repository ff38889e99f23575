#include "plugin/log_record.h"

#include "plugin/request_json.h"

namespace gateway::plugin {
namespace {

using nlohmann::json;

json tries_of(std::span<const Try> tries) {
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

// What both kinds of record say in the same words.
void add_place(json& out, const entity::Route* route, const entity::Service* service, std::span<const Try> tries) {
  if (!tries.empty()) out["tries"] = tries_of(tries);
  if (route != nullptr) out["route"] = parse_json(route->document);
  if (service != nullptr) out["service"] = parse_json(service->document);
  out["workspace"] = "";
  out["workspace_name"] = "default";
}

std::int64_t milliseconds_of(System::time_point time) { return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count(); }

// As nginx tells it: a number, or for several tries one after the other; only the last can have moved anything.
json bytes_of(std::span<const Try> tries, std::uint64_t bytes) {
  if (tries.size() == 1) return bytes;
  std::string out;
  for (std::size_t before = 1; before < tries.size(); ++before) out += "0, ";
  return out + std::to_string(bytes);
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
              {"started_at", milliseconds_of(exchange.started)},
              {"source", record.source == Record::Source::upstream ? "upstream" : "kong"}};
  add_place(out, exchange.route, exchange.service, record.tries != nullptr ? std::span<const Try>(*record.tries) : std::span<const Try>());
  if (exchange.credential) {
    out["authenticated_entity"] = {{"id", exchange.credential->id_text}};
    if (exchange.credential->consumer) out["authenticated_entity"]["consumer_id"] = exchange.credential->consumer->to_string();
  }
  if (exchange.consumer && exchange.consumer->document) out["consumer"] = *exchange.consumer->document;
  if (!exchange.correlation_id.empty()) out["correlation_id"] = exchange.correlation_id;
  return out;
}

json log_record(const StreamRecord& record) {
  const StreamSession& session = record.session;
  json out = {{"session", {{"received", record.received}, {"sent", record.sent}, {"status", record.status}, {"server_port", session.server_port}}},
              {"upstream", json::object()},
              {"latencies", {{"kong", record.kong_latency.count()}, {"session", record.session_latency.count()}}},
              {"client_ip", session.client_ip},
              {"started_at", milliseconds_of(session.started)}};
  if (!session.tls_version.empty()) out["session"]["tls"] = tls_of(session.tls_version, session.tls_cipher);
  if (!record.tries.empty()) {
    const bool reached = record.tries.back().failed_with == 0;
    out["upstream"] = {{"received", bytes_of(record.tries, reached ? record.sent : 0)}, {"sent", bytes_of(record.tries, reached ? record.received : 0)}};
  }
  add_place(out, session.route, session.service, record.tries);
  return out;
}

}  // namespace gateway::plugin
