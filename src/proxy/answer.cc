#include "proxy/answer.h"

#include <span>

#include "base/log.h"
#include "base/uuid.h"
#include "http/path.h"
#include "proxy/client.h"
#include "proxy/error_page.h"
#include "proxy/forward.h"
#include "proxy/reply.h"
#include "proxy/upstream_head.h"
#include "proxy/worker.h"
#include "router/protocol_check.h"
#include "router/upstream_path.h"

namespace gateway::proxy {
namespace {

using plugin::Flow;
using plugin::Phase;
using plugin::Step;

Task<Flow> rewrite(Request& request) {
  const plugin::Chains& chains = request.config->chains;
  for (const plugin::Slot& slot : chains.global().slots) {
    if (!has(slot.phases, Phase::rewrite)) continue;
    const plugin::Plugin* plugin = chains.choose(slot, nullptr);
    if (plugin == nullptr) continue;
    Step step = plugin->rewrite(request.exchange);
    Flow flow = step.take();
    if (step.waits()) flow = co_await step.task();
    if (flow.replies()) co_return flow;
  }
  co_return Flow::next();
}

Task<Flow> access_after(Task<Flow> waiting, Request& request, std::span<const plugin::Slot> rest);

// At once, unless a plugin has to wait.
//
// A plugin that ends the request stops the access handlers after it; those plugins are chosen all the same
// and take part in header_filter and log (Kong 3.9, plugin iterator).
Step access(Request& request, std::span<const plugin::Slot> slots, Flow outcome) {
  const plugin::Chains& chains = request.config->chains;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const plugin::Plugin* plugin = chains.choose(slots[i], request.exchange.consumer.get());
    if (plugin == nullptr) continue;
    request.chosen.push_back({plugin, slots[i].phases});
    if (outcome.replies() || !has(slots[i].phases, Phase::access)) continue;
    Step step = plugin->access(request.exchange);
    if (step.waits()) return access_after(step.task(), request, slots.subspan(i + 1));
    outcome = step.take();
  }
  return outcome;
}

Task<Flow> access_after(Task<Flow> waiting, Request& request, std::span<const plugin::Slot> rest) {
  Flow outcome = co_await waiting;
  Step step = access(request, rest, std::move(outcome));
  outcome = step.take();
  if (step.waits()) outcome = co_await step.task();
  co_return outcome;
}

// Over TLS, as the client, or a trusted peer on its behalf, says.
bool is_secure(const Request& request) {
  const plugin::Connection& client = request.exchange.connection();
  const std::string_view told = client.trusted ? request.head.headers.value(http::Name::x_forwarded_proto) : std::string_view{};
  if (told.empty()) return client.tls;
  return http::equals_ignoring_case(told, "https") || http::equals_ignoring_case(told, "wss");
}

bool find_route(Request& request) {
  const plugin::Connection& client = request.exchange.connection();
  const std::string_view path = http::normalise(request.head.path, request.arena);
  const bool websocket = request.head.upgrade_websocket;
  request.match = request.config->routes.match({request.head.method, request.head.authority, path, client.sni, client.tls, client.server_port,
                                                request.head.headers, websocket && is_secure(request), websocket});
  if (!request.match) return false;
  const entity::Route& route = *request.match->route;
  request.exchange.route = &route;
  if (route.service) {
    if (const auto* upstream = request.config->upstreams.find(*route.service)) {
      request.upstream = upstream->get();
      request.exchange.service = &request.upstream->service;
    }
  }
  const std::string_view service_path = request.upstream != nullptr ? std::string_view(request.upstream->service.path) : std::string_view{};
  request.exchange.upstream_path = router::upstream_path(service_path, route, path, *request.match, request.config->routes.flavour(), request.arena);
  request.exchange.upstream_query = request.head.query;
  return true;
}

// How the client is to come back (Kong 3.9, https_redirect_status_code and the gRPC checks beside it).
http::Reply turn_away(Request& request, router::Passage why, const Options& options) {
  const auto error = [&](unsigned status, std::string_view message) {
    return render_error(status, message, request.exchange.request_id, request.head, Raised::by_gateway, options);
  };
  const auto upgrade_to = [&](std::string_view message, const char* protocols) {
    http::Reply reply = error(426, message);
    reply.headers.emplace_back("Connection", "Upgrade");
    reply.headers.emplace_back("Upgrade", protocols);
    return reply;
  };
  http::Reply reply;
  switch (why) {
    case router::Passage::needs_http2: return upgrade_to("Please use HTTP2 protocol", "HTTP/2");
    case router::Passage::needs_grpc: return error(415, "Non-gRPC request matched gRPC route");
    case router::Passage::needs_grpcs:
      reply.content_type = "application/grpc";
      reply.headers.emplace_back("grpc-status", "1");
      reply.headers.emplace_back("grpc-message", "gRPC request matched gRPCs route");
      return reply;
    case router::Passage::needs_https:
    case router::Passage::allowed: break;
  }
  const unsigned status = request.exchange.route->https_redirect_status_code;
  if (status == 426) return upgrade_to("Please use HTTPS protocol", "TLS/1.2, HTTP/1.1");
  reply.status = status;
  reply.headers.emplace_back("Location", "https://" + std::string(forwarded_host(request)) + std::string(request.head.target));
  return reply;
}

router::Passage passage_of(const Request& request) {
  const http::Headers& headers = request.head.headers;
  return router::passage(*request.exchange.route, {is_secure(request), request.head.version == http::Version::http_2, headers.value(http::Name::content_type)});
}

Task<void> refuse(Request& request, Flow flow) {
  http::Reply reply = flow.take_reply();
  co_await send_reply(request, reply);
}

Task<void> refuse(Request& request, unsigned status, std::string_view message, Raised raised) {
  http::Reply reply = render_error(status, message, request.exchange.request_id, request.head, raised, request.client.worker().options());
  co_await send_reply(request, reply);
}

}  // namespace

void choose_global_plugins(Request& request) {
  const plugin::Chains& chains = request.config->chains;
  for (const plugin::Slot& slot : chains.global().slots) {
    if (const plugin::Plugin* plugin = chains.choose(slot, nullptr)) request.chosen.push_back({plugin, slot.phases});
  }
}

Task<void> refuse_unread(Request& request, unsigned status, std::string_view why) {
  log::info("refused a request from {}: {}", request.connection_facts.peer_ip, why);
  request.config = request.client.worker().snapshot().pin();
  request.exchange.request_id = {request.id, sizeof request.id};
  choose_global_plugins(request);
  co_await refuse(request, status, standard_message(status), Raised::by_http);
}

Task<void> answer(Request& request) {
  const Options& options = request.client.worker().options();
  request.config = request.client.worker().snapshot().pin();
  request.exchange.request_id = {request.id, sizeof request.id};
  request.exchange.body = &request.body;

  if (request.body_refused) {
    const bool too_large = request.body_refused == make_error_code(BodyError::too_large);
    const unsigned status = too_large ? 413 : 400;
    choose_global_plugins(request);
    request.body.abandon();
    co_return co_await refuse(request, status, standard_message(status), Raised::by_http);
  }

  // OPTIONS * asks about the server itself (RFC 9110, 9.3.7): that is us.
  if (request.head.target == "*") {
    choose_global_plugins(request);
    http::Reply reply;
    reply.headers.emplace_back("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    co_return co_await send_reply(request, reply);
  }

  Flow flow = Flow::next();
  if (request.config->chains.global().rewrites) flow = co_await rewrite(request);
  if (flow.replies()) {
    choose_global_plugins(request);
    co_return co_await refuse(request, std::move(flow));
  }

  if (!find_route(request)) {
    choose_global_plugins(request);
    co_return co_await refuse(request, 404, "no Route matched with those values", Raised::by_gateway);
  }
  const router::Passage passage = passage_of(request);
  if (passage != router::Passage::allowed) {
    choose_global_plugins(request);
    http::Reply reply = turn_away(request, passage, options);
    co_return co_await send_reply(request, reply);
  }

  request.chain = &request.config->chains.of(*request.exchange.route);
  if (!request.chain->slots.empty()) {
    request.chosen.reserve(request.chain->slots.size());
    Step step = access(request, request.chain->slots, Flow::next());
    flow = step.take();
    if (step.waits()) flow = co_await step.task();
  }
  if (flow.replies()) co_return co_await refuse(request, std::move(flow));

  if (request.upstream == nullptr) {
    co_return co_await refuse(request, 503, "no Service found with those values", Raised::by_gateway);
  }
  if (request.upstream->unusable) {
    co_return co_await refuse(request, 500, "An unexpected error occurred", Raised::by_gateway);
  }
  co_await forward(request);
}

}  // namespace gateway::proxy
