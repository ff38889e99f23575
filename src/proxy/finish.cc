#include "proxy/finish.h"

#include "proxy/client.h"
#include "proxy/reply.h"
#include "proxy/worker.h"
#include "telemetry/access_log.h"

namespace gateway::proxy {
namespace {

using std::chrono::milliseconds;

milliseconds between(Steady::time_point from, Steady::time_point to) { return milliseconds(milliseconds_between(from, to)); }

// The time that was ours: until the request went on to its upstream, or until we had answered it.
milliseconds own_time(const Request& request, Steady::time_point now) { return between(request.started, request.forwarded.value_or(now)); }

void log_phase(Request& request, Steady::time_point now) {
  plugin::Record record{request.exchange};
  record.status = request.status;
  record.response_headers = request.sent_headers ? &*request.sent_headers : nullptr;
  record.request_size = request.head_bytes + request.body.received();
  record.response_size = request.sent_bytes;
  record.kong_latency = own_time(request, now);
  if (request.forwarded && request.answered) record.upstream_latency = between(*request.forwarded, *request.answered);
  if (request.answered && request.received) record.receive_latency = between(*request.answered, *request.received);
  record.request_latency = between(request.started, now);
  record.source = request.source;
  record.upstream_uri = request.upstream_uri;
  record.upstream_status = request.upstream_status;
  record.tries = &request.tries;
  for (const Request::Chosen& chosen : request.chosen) {
    if (has(chosen.phases, plugin::Phase::log)) chosen.plugin->log(record);
  }
}

std::string_view version_text(const Request& request) {
  if (request.head.method.empty()) return {};
  switch (request.head.version) {
    case http::Version::http_1_0: return "HTTP/1.0";
    case http::Version::http_1_1: return "HTTP/1.1";
    case http::Version::http_2: return "HTTP/2.0";
  }
  return {};
}

void write_access_line(Request& request, telemetry::LogBuffer& log, telemetry::LogFormat format, Steady::time_point now) {
  telemetry::AccessEntry entry;
  const http::Headers& headers = request.head.headers;
  entry.client_ip = request.connection_facts.client_ip;
  entry.method = request.head.method;
  entry.target = request.head.target;
  entry.version = version_text(request);
  entry.status = request.status;
  entry.body_bytes = request.sent_bytes - request.sent_head_bytes;
  entry.referer = headers.value("Referer");
  entry.user_agent = headers.value(http::Name::user_agent);
  entry.request_id = request.exchange.request_id;
  entry.host = request.head.authority;
  entry.time = System::now();
  std::string upstream;
  if (format == telemetry::LogFormat::json) {
    if (request.exchange.service != nullptr) entry.service = request.exchange.service->name;
    if (request.exchange.route != nullptr) entry.route = request.exchange.route->name;
    if (!request.tries.empty()) upstream = request.tries.back().peer.to_string();
    entry.upstream = upstream;
    entry.request_ms = milliseconds_between(request.started, now);
    if (request.forwarded && request.answered) entry.upstream_ms = milliseconds_between(*request.forwarded, *request.answered);
    entry.gateway_ms = own_time(request, now).count();
  }
  telemetry::append_access(log, format, entry);
}

bool anybody_logs(const Request& request) {
  for (const Request::Chosen& chosen : request.chosen) {
    if (has(chosen.phases, plugin::Phase::log)) return true;
  }
  return false;
}

}  // namespace

void finish(Request& request) noexcept {
  Worker& worker = request.client.worker();
  worker.count_request();
  const bool logs = anybody_logs(request);
  if (!logs && !worker.access_log().enabled()) return;
  const Steady::time_point now = Steady::now();
  if (logs) log_phase(request, now);
  if (worker.access_log().enabled()) write_access_line(request, worker.access_log(), worker.options().access_log_format, now);
}

}  // namespace gateway::proxy
