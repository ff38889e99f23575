#include "proxy/upstream_head.h"

#include <algorithm>

#include "base/ascii.h"
#include "proxy/client.h"
#include "proxy/head_writer.h"
#include "proxy/websocket_key.h"
#include "proxy/worker.h"

namespace gateway::proxy {
namespace {

using http::Name;

// What Connection must not be able to remove: framing, routing, and what tells the upstream who asks.
bool is_protected(Name name) {
  switch (name) {
    case Name::host:
    case Name::content_length:
    case Name::transfer_encoding:
    case Name::via:
    case Name::x_forwarded_for:
    case Name::x_forwarded_host:
    case Name::x_forwarded_path:
    case Name::x_forwarded_port:
    case Name::x_forwarded_prefix:
    case Name::x_forwarded_proto:
    case Name::x_kong_request_id:
    case Name::x_real_ip: return true;
    default: return false;
  }
}

bool is_hop_by_hop(Name name) {
  switch (name) {
    case Name::connection:
    case Name::keep_alive:
    case Name::proxy_connection:
    case Name::proxy:
    case Name::te:
    case Name::transfer_encoding:
    case Name::upgrade: return true;
    default: return false;
  }
}

template <class F>
void for_each_member(std::string_view list, F&& visit) {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    std::string_view one = list.substr(0, comma);
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
    while (!one.empty() && (one.front() == ' ' || one.front() == '\t')) one.remove_prefix(1);
    while (!one.empty() && (one.back() == ' ' || one.back() == '\t')) one.remove_suffix(1);
    if (!one.empty()) visit(one);
  }
}

std::string_view host_without_port(std::string_view authority) {
  if (!authority.empty() && authority.front() == '[') return authority.substr(0, authority.find(']') + 1);
  return authority.substr(0, authority.find(':'));
}

std::string_view lower_case_in(http::Arena& arena, std::string_view text) {
  if (std::all_of(text.begin(), text.end(), [](char c) { return c == lower(c); })) return text;
  return lower_case(text, static_cast<char*>(arena.allocate(text.size(), 1)));
}

// The addresses the request came by, where others have told of some; several lines are one list (RFC 9110, 5.3).
std::string_view forwarded_for(const http::Headers& headers, http::Arena& arena, const plugin::Connection& client) {
  std::string_view list;
  for (const http::Header& header : headers) {
    if (header.id != Name::x_forwarded_for || header.value.empty()) continue;
    list = list.empty() ? header.value : join(arena, {list, ", ", header.value});
  }
  return list.empty() ? list : join(arena, {list, ", ", client.peer_ip});
}

void add_forwarded(Request& request, const Options& options) {
  http::Headers& headers = request.head.headers;
  http::Arena& arena = request.arena;
  const plugin::Connection& client = request.exchange.connection();
  const bool trusted = client.trusted;
  const auto client_value_or = [&](Name name, std::string_view ours) {
    const std::string_view theirs = trusted ? headers.value(name) : std::string_view{};
    return theirs.empty() ? ours : theirs;
  };
  const auto set_unless_told = [&](Name name, std::string_view ours) {
    const std::string_view theirs = client_value_or(name, {});
    if (theirs.empty()) return headers.set(safe(name, ours));
    headers.set(name, theirs);
  };

  if (const std::string_view list = forwarded_for(headers, arena, client); list.empty()) {
    headers.set(safe(Name::x_forwarded_for, client.client_ip));
  } else {
    headers.set(Name::x_forwarded_for, list);
  }
  set_unless_told(Name::x_forwarded_proto, client.tls ? "https" : "http");
  headers.set_or_remove(Name::x_forwarded_host, forwarded_host(request));
  set_unless_told(Name::x_forwarded_port, number(arena, client.server_port));
  headers.set(Name::x_forwarded_path, client_value_or(Name::x_forwarded_path, request.head.path));
  std::string_view prefix;
  if (request.match->path_matched && request.exchange.route->strip_path && request.match->matched_path != "/") {
    prefix = request.match->matched_path;
  }
  headers.set_or_remove(Name::x_forwarded_prefix, client_value_or(Name::x_forwarded_prefix, prefix));
  headers.set(safe(Name::x_real_ip, client.client_ip));
  if (options.upstream_request_id) headers.set(safe(Name::x_kong_request_id, request.exchange.request_id));
  const std::string_view us = request.client.worker().via(request.head.version);
  if (const http::Header* via = headers.find(Name::via); via != nullptr && !via->value.empty()) {
    headers.set(Name::via, join(arena, {via->value, ", ", us}));
  } else {
    headers.set(safe(Name::via, us));
  }
}

void set_framing(Request& request) {
  http::Headers& headers = request.head.headers;
  const RequestBody& body = request.body;
  if (!body.exists()) {
    headers.remove(Name::content_length);
  } else if (body.buffered() && body.trailers().empty()) {
    headers.set(Name::content_length, number(request.arena, static_cast<std::int64_t>(body.piece().size())));
  } else if (body.framing().kind == http::Framing::Kind::chunked) {
    headers.remove(Name::content_length);
    headers.add(Name::transfer_encoding, "chunked");
  }
}

// Kong's request debugging is for Kong: neither its switch nor its token is the upstream's business.
bool is_debugging(const http::Header& header) {
  constexpr std::string_view beginning = "X-Kong-Request-Debug";
  return header.id == Name::other && header.name.size() >= beginning.size() && http::equals_ignoring_case(header.name.substr(0, beginning.size()), beginning);
}

void mark_named(http::Headers& headers) {
  std::pmr::vector<std::string_view> named(&headers.arena());
  for (const http::Header& header : headers) {
    if (header.id != Name::connection) continue;
    for_each_member(header.value, [&](std::string_view name) {
      const Name id = http::classify(name);
      const bool usual = http::equals_ignoring_case(name, "close") || id == Name::keep_alive;
      if (!usual && !is_protected(id) && !is_hop_by_hop(id)) named.push_back(name);
    });
  }
  if (named.empty()) return;
  for (http::Header& header : headers) {
    header.of_this_hop = std::any_of(named.begin(), named.end(), [&](std::string_view name) { return http::equals_ignoring_case(name, header.name); });
  }
}

}  // namespace

std::string_view forwarded_host(Request& request) {
  const bool trusted = request.exchange.connection().trusted;
  const std::string_view told = trusted ? request.head.headers.value(Name::x_forwarded_host) : std::string_view{};
  return told.empty() ? lower_case_in(request.arena, host_without_port(request.head.authority)) : told;
}

bool sends_query(const Request& request) noexcept {
  const std::string_view query = request.exchange.upstream_query;
  return !query.empty() || (request.head.has_query && request.head.query.empty());
}

void mark_hop_by_hop(http::Headers& headers) {
  for (const http::Header& header : headers) {
    // Usually it says "close" or "keep-alive": nothing to look for.
    if (header.id != Name::connection || http::equals_ignoring_case(header.value, "keep-alive") || http::equals_ignoring_case(header.value, "close")) continue;
    return mark_named(headers);
  }
}

void remove_hop_by_hop(http::Headers& headers, bool keep_upgrade) {
  headers.erase_if(
      [keep_upgrade](const http::Header& header) { return header.of_this_hop || (is_hop_by_hop(header.id) && !(keep_upgrade && header.id == Name::upgrade)); });
}

void prepare_request_headers(Request& request, const Options& options) {
  http::Headers& headers = request.head.headers;
  const bool upgrading = request.head.upgrade_websocket;
  bool trailers_wanted = false;
  headers.erase_if([&](const http::Header& header) {
    if (header.id == Name::te) trailers_wanted |= http::list_contains(header.value, "trailers");
    return header.of_this_hop || is_hop_by_hop(header.id) || header.id == Name::expect || is_debugging(header);
  });

  const entity::Route& route = *request.exchange.route;
  headers.set(Name::host, route.preserve_host && !request.head.authority.empty() ? request.head.authority : request.place.host_header);
  if (upgrading) {
    headers.add(Name::connection, "keep-alive, Upgrade");
    headers.add(Name::upgrade, "websocket");
    if (request.head.version == http::Version::http_2) headers.set(websocket_key_header, websocket_key(request.arena));
  } else {
    headers.add(safe(Name::connection, "keep-alive"));
  }
  if (trailers_wanted) headers.add(Name::te, "trailers");
  add_forwarded(request, options);
  set_framing(request);
}

}  // namespace gateway::proxy
