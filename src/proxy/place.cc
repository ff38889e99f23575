#include "proxy/place.h"

#include <new>

#include "proxy/request.h"

namespace gateway::proxy {
namespace {

bool is_unhealthy(const Request& request, const std::string& host) {
  const auto* balancer = request.config->balancers.find(host);
  return balancer != nullptr && !(*balancer)->healthy();
}

void take_detour(Request& request, const plugin::Detour& detour) {
  if (detour.only_when_healthy && is_unhealthy(request, detour.host)) return;
  const entity::Service& service = request.upstream->service;
  Place& place = request.place;
  if (!detour.path.empty()) request.exchange.upstream_path = detour.path;
  if (detour.host.empty() && detour.port == 0) return;
  if (!detour.host.empty()) {
    place.host = &detour.host;
    place.tls = &request.upstream->tls_towards(detour.host);
  }
  if (detour.port != 0) place.port = detour.port;
  place.host_header = request.head.headers.keep(entity::host_header(service.protocol, *place.host, place.port));
  std::string_view address = *place.host;
  if (address.size() > 2 && address.front() == '[') address = address.substr(1, address.size() - 2);
  const std::optional<net::SocketAddress> literal = net::SocketAddress::from_ip(address, place.port);
  place.literal = literal ? new (request.arena.allocate(sizeof *literal, alignof(net::SocketAddress))) net::SocketAddress(*literal) : nullptr;
}

}  // namespace

void find_place(Request& request) {
  const snapshot::Upstream& own = *request.upstream;
  request.place = {&own.service.host, own.service.port, own.host_header, own.literal ? &*own.literal : nullptr, &own.tls};
  if (request.exchange.detour != nullptr) take_detour(request, *request.exchange.detour);
}

}  // namespace gateway::proxy
