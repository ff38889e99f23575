#include "proxy/reply.h"

#include <algorithm>

#include "http/h1/writer.h"
#include "proxy/client.h"
#include "proxy/error_page.h"
#include "proxy/head_writer.h"
#include "proxy/worker.h"

namespace gateway::proxy {
namespace {

using http::Name;

// Plugins see our own answers as they see an upstream's: in one piece.
void filter_body(Request& request, std::string& body) {
  for (const Request::Chosen& chosen : request.chosen) {
    if (has(chosen.phases, plugin::Phase::body_filter)) chosen.plugin->body_filter(request.exchange, body, true);
  }
}

bool may_have_body(unsigned status) { return status >= 200 && status != 204 && status != 304; }

void add_debug_headers(Request& request, http::Headers& headers) {
  if (request.head.headers.find("Kong-Debug") == nullptr) return;
  const entity::Route* route = request.exchange.route;
  const entity::Service* service = request.exchange.service;
  if (route != nullptr) {
    headers.add("Kong-Route-Id", headers.keep(route->id.to_string()));
    if (!route->name.empty()) headers.add("Kong-Route-Name", route->name);
  }
  if (service != nullptr) {
    headers.add("Kong-Service-Id", headers.keep(service->id.to_string()));
    if (!service->name.empty()) headers.add("Kong-Service-Name", service->name);
  }
}

// The last one; of a peer that gave none, what the failure counts as (nginx, $upstream_status).
void add_upstream_status(Request& request, http::Headers& headers) {
  unsigned status = request.upstream_status;
  if (status == 0 && !request.tries.empty()) status = request.tries.back().failed_with;
  if (status != 0) headers.set("X-Kong-Upstream-Status", number(request.arena, status));
}

}  // namespace

std::int64_t milliseconds_between(Steady::time_point from, Steady::time_point to) noexcept {
  return std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::milliseconds>(to - from).count());
}

void filter_headers(Request& request, unsigned& status, http::Headers& headers) {
  headers.set_all(request.exchange.response_headers);
  if (!request.cookie.empty()) headers.add("Set-Cookie", request.cookie);  // beside the service's own
  for (const Request::Chosen& chosen : request.chosen) {
    if (has(chosen.phases, plugin::Phase::header_filter)) chosen.plugin->header_filter(request.exchange, status, headers);
  }
}

void add_own_headers(Request& request, http::Headers& headers, plugin::Record::Source source) {
  const Options& options = request.client.worker().options();
  const HeaderTokens& tokens = options.headers;
  http::Arena& arena = request.arena;
  const Steady::time_point now = request.answered ? *request.answered : Steady::now();
  if (headers.find(Name::date) == nullptr) headers.add(safe(Name::date, http::h1::http_date()));
  if (source == plugin::Record::Source::kong) {
    if (tokens.server) headers.set(Name::server, options.product);
    if (tokens.response_latency && !request.forwarded) {
      headers.set(safe(Name::x_kong_response_latency, number(arena, milliseconds_between(request.started, now))));
    }
  } else if (tokens.server && headers.find(Name::server) == nullptr) {
    headers.add(Name::server, options.product);
  }
  if (request.forwarded) {
    // Proxied, even when it failed: then the time waited counts as the upstream's.
    if (tokens.upstream_latency) headers.set(safe(Name::x_kong_upstream_latency, number(arena, milliseconds_between(*request.forwarded, now))));
    if (tokens.proxy_latency) headers.set(safe(Name::x_kong_proxy_latency, number(arena, milliseconds_between(request.started, *request.forwarded))));
    if (tokens.via) {
      const std::string_view us = request.client.worker().via(http::Version::http_1_1);
      const std::string_view before = headers.value(Name::via);
      if (before.empty()) {
        headers.set(safe(Name::via, us));
      } else {
        headers.set(Name::via, join(arena, {before, ", ", us}));
      }
    }
    if (tokens.upstream_status) add_upstream_status(request, headers);
  }
  if (tokens.request_id) headers.set(safe(Name::x_kong_request_id, request.exchange.request_id));
  if (options.debug_header) add_debug_headers(request, headers);
}

Task<void> send_reply(Request& request, http::Reply& reply) {
  request.source = plugin::Record::Source::kong;
  if (reply.negotiate) {
    const std::string message = reply.body.empty() ? default_message(reply.status) : std::move(reply.body);
    http::Reply rendered =
        render_error(reply.status, message, request.exchange.request_id, request.head, Raised::by_gateway, request.client.worker().options());
    rendered.headers = std::move(reply.headers);
    reply = std::move(rendered);
  }
  if (!request.body.complete() || request.client.draining()) request.close_after = true;

  http::Headers& headers = request.sent_headers.emplace(request.arena);
  headers.reserve(24);
  // The log phase reads them when the reply has gone.
  if (!reply.content_type.empty()) headers.add(Name::content_type, headers.keep(reply.content_type));
  for (const auto& [name, value] : reply.headers) headers.add(http::Header{headers.keep(name), headers.keep(value), http::classify(name)});
  unsigned status = reply.status;
  filter_headers(request, status, headers);
  // What follows a 1xx is no answer of ours: the client could not tell where the next one begins.
  if (status < 200) request.close_after = true;
  if (may_have_body(status)) filter_body(request, reply.body);
  headers.remove(Name::transfer_encoding);
  headers.remove(Name::content_length);
  if (may_have_body(status)) headers.add(Name::content_length, number(request.arena, static_cast<std::int64_t>(reply.body.size())));
  add_own_headers(request, headers, plugin::Record::Source::kong);
  Answer answer(request);
  answer.status = status;
  answer.reason = http::reason_phrase(status);
  answer.headers = &headers;
  answer.has_body = may_have_body(status) && request.head.method != "HEAD";
  answer.of_known_length = true;
  request.client.frame(answer);
  request.status = status;
  request.response_started = true;
  const std::string_view body = reply.body;
  const Status sent = co_await request.client.send(answer, body, true);
  if (!sent) request.close_after = request.client_gone = true;
}

}  // namespace gateway::proxy
