#include "proxy/stream/session.h"

#include "base/log.h"
#include "telemetry/stream_log.h"

namespace gateway::proxy::stream {

Session::Session(const Host& host, Transport of, const net::SocketAddress& peer, const net::SocketAddress& at)
    : transport(of), client_ip(peer.ip()), client_port(peer.port()), client(net::IpAddress::from(peer)), local(at) {
  host.statistics.accepted.add(1);
}

void Session::speak_for(const net::SocketAddress& other) {
  client_ip = other.ip();
  client_port = other.port();
  client = net::IpAddress::from(other);
}

bool Session::find_route(const Host& host) {
  const snapshot::SnapshotPtr config = host.snapshot.pin();
  router::StreamQuery query;
  query.transport = transport;
  query.sni = sni;
  query.source_ip = client;
  query.source_port = client_port;
  query.destination_ip = net::IpAddress::from(local);
  query.destination_port = local.port();
  if (const auto mapped = host.options.port_maps.find(local.port()); mapped != host.options.port_maps.end()) query.destination_port = mapped->second;
  route = config ? config->streams.match(query) : nullptr;
  if (!route) {
    status = status_no_route;
    log::info("closed a stream from {} to {}: no Route found with those values", client_ip, local.to_string());
    return false;
  }
  const std::shared_ptr<const snapshot::Upstream>* found = route->service ? config->upstreams.find(*route->service) : nullptr;
  if (found != nullptr) service = *found;
  // What is wrong with a service that cannot be used was logged when it was found out.
  if (service && !service->unusable) return true;
  status = status_no_service;
  log::info("closed a stream from {} to {}: no Service found with those values", client_ip, local.to_string());
  return false;
}

void Session::record(telemetry::LogBuffer& log, const Host& host) const {
  if (!log.enabled()) return;
  telemetry::StreamEntry entry;
  entry.client_ip = client_ip;
  entry.protocol = transport == Transport::udp ? "UDP" : "TCP";
  entry.status = status;
  entry.bytes_sent = sent;
  entry.bytes_received = received;
  entry.duration = std::chrono::duration_cast<std::chrono::milliseconds>(Steady::now() - started);
  entry.time = System::now();
  std::string to;
  if (host.options.access_log_format == telemetry::LogFormat::json) {
    entry.sni = sni;
    if (route) entry.route = route->name;
    if (service) entry.service = service->service.name;
    if (upstream) to = upstream->to_string();
    entry.upstream = to;
  }
  telemetry::append_stream(log, host.options.access_log_format, entry);
}

}  // namespace gateway::proxy::stream
