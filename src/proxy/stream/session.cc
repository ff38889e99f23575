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

std::uint16_t Session::server_port(const Host& host) const {
  const auto mapped = host.options.port_maps.find(local.port());
  return mapped == host.options.port_maps.end() ? local.port() : mapped->second;
}

bool Session::find_route(const Host& host) {
  const snapshot::SnapshotPtr config = host.snapshot.pin();
  router::StreamQuery query;
  query.transport = transport;
  query.sni = sni;
  query.source_ip = client;
  query.source_port = client_port;
  query.destination_ip = net::IpAddress::from(local);
  query.destination_port = server_port(host);
  route = config ? config->streams.match(query) : nullptr;
  if (!route) {
    status = status_no_route;
    log::info("closed a stream from {} to {}: no Route found with those values", client_ip, local.to_string());
    return false;
  }
  const std::shared_ptr<const snapshot::Upstream>* found = route->service ? config->upstreams.find(*route->service) : nullptr;
  if (found != nullptr) service = *found;
  plugins = config->stream_chains.shared_of(*route);
  return true;
}

// What is wrong with a service that cannot be used was logged when it was found out.
bool Session::has_service() {
  if (service && !service->unusable) return true;
  status = status_no_service;
  log::info("closed a stream from {} to {}: no Service found with those values", client_ip, local.to_string());
  return false;
}

plugin::StreamSession Session::facts(const Host& host) const {
  plugin::StreamSession facts;
  facts.client_ip = client_ip;
  facts.client_port = client_port;
  facts.server_port = server_port(host);
  facts.sni = sni;
  facts.tls_version = tls_version;
  facts.tls_cipher = tls_cipher;
  facts.started = System::now() - std::chrono::duration_cast<System::duration>(Steady::now() - started);
  facts.route = route.get();
  if (service) facts.service = &service->service;
  return facts;
}

// Nobody authenticates on a stream: rows for a consumer never apply, and the slot's base is the one.
std::optional<plugin::Refusal> Session::preread(const Host& host) {
  if (!plugins->prereads) return std::nullopt;
  const plugin::StreamSession seen = facts(host);
  for (const plugin::Slot& slot : plugins->slots) {
    if (!slot.base || !has(slot.phases, plugin::Phase::preread)) continue;
    std::optional<plugin::Refusal> refusal = slot.base->preread(seen);
    if (!refusal) continue;
    status = refusal->status;
    return refusal;
  }
  return std::nullopt;
}

void Session::note_try(const net::SocketAddress& peer, std::chrono::microseconds choosing) {
  plugin::Try& one = tries.emplace_back();
  one.peer = peer;
  one.started = System::now();
  one.balancer_latency = choosing;
}

void Session::try_failed(const Error& error) noexcept { tries.back().failed_with = error.code == boost::system::errc::timed_out ? 504 : 502; }

void Session::record(telemetry::LogBuffer& log, const Host& host) const {
  if (log.enabled()) add_access_line(log, host);
  log_phase(host);
}

void Session::add_access_line(telemetry::LogBuffer& log, const Host& host) const {
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
    if (upstream() != nullptr) to = upstream()->to_string();
    entry.upstream = to;
  }
  telemetry::append_stream(log, host.options.access_log_format, entry);
}

// Where there was no route the plugins for all are told, as for requests (Kong 3.9, plugin iterator).
void Session::log_phase(const Host& host) const {
  const snapshot::SnapshotPtr config = host.snapshot.pin();
  const plugin::Chain* chain = plugins ? plugins.get() : config ? &config->stream_chains.global() : nullptr;
  if (chain == nullptr || !chain->logs) return;
  const plugin::StreamSession seen = facts(host);
  plugin::StreamRecord record(seen);
  record.status = status;
  record.received = received;
  record.sent = sent;
  record.tries = tries;
  using std::chrono::milliseconds;
  record.session_latency = std::chrono::duration_cast<milliseconds>(Steady::now() - started);
  record.kong_latency = tries.empty() ? record.session_latency : std::chrono::duration_cast<milliseconds>(tries.back().started - seen.started);
  for (const plugin::Slot& slot : chain->slots) {
    if (slot.base && has(slot.phases, plugin::Phase::log)) slot.base->log_stream(record);
  }
}

}  // namespace gateway::proxy::stream
