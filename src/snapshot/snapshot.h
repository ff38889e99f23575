#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/shared_map.h"
#include "base/uuid.h"
#include "entity/service.h"
#include "net/address.h"
#include "plugin/chain.h"
#include "router/stream_table.h"
#include "router/table.h"
#include "tls/client_context.h"
#include "tls/server_names.h"
#include "upstream/balancing/balancer.h"

namespace gateway::snapshot {

/// A service with what every request to it would otherwise work out again.
struct Upstream {
  entity::Service service;
  std::string host_header;                        ///< host, with the port where it is not the protocol's own
  std::optional<net::SocketAddress> literal;      ///< when the host is an address, no name to resolve
  std::shared_ptr<const tls::ClientContext> tls;  ///< how it is spoken to; null: in clear text
  bool unusable = false;                          ///< its certificates are not there: nothing is sent

  /// How requests are spoken to that go elsewhere (plugin::Detour): a host that is an upstream may have another certificate
  /// shown. Only hosts that plugins name and that matter.
  std::unordered_map<std::string, std::shared_ptr<const tls::ClientContext>> tls_elsewhere{};
  [[nodiscard]] const std::shared_ptr<const tls::ClientContext>& tls_towards(const std::string& host) const {
    const auto found = tls_elsewhere.find(host);
    return found == tls_elsewhere.end() ? tls : found->second;
  }
};

/// One immutable configuration: what a request sees from its first phase to its last.
struct Snapshot {
  std::uint64_t version = 0;
  router::Table routes;
  SharedMap<Uuid, std::shared_ptr<const Upstream>> upstreams;                     ///< by service id
  plugin::Chains chains;                                                          ///< of requests
  tls::ServerNames server_names{};                                                ///< which certificate a client gets
  SharedMap<Uuid, tls::ServerCertificatePtr> certificates{};                      ///< by id, for what upstreams are shown
  SharedMap<Uuid, tls::X509Ptr> ca_certificates{};                                ///< by id, for what upstreams have to show
  SharedMap<std::string, std::shared_ptr<const upstream::Balancer>> balancers{};  ///< by name of the upstream
  router::StreamTable streams{};                                                  ///< routes of tcp, tls, tls_passthrough and udp
  plugin::Chains stream_chains{};
};

using SnapshotPtr = std::shared_ptr<const Snapshot>;

/// What one worker serves from. Only that worker's thread touches it, hence no lock.
class CurrentSnapshot {
 public:
  /// Pin once per request and keep to the end, so that all its phases see one configuration.
  [[nodiscard]] SnapshotPtr pin() const { return current_; }

  void replace(const SnapshotPtr& next) {
    // A control block of this worker's own: sharing one would make every request on every core
    // count references in the same cache line.
    current_ = SnapshotPtr(next.get(), [next](const Snapshot*) {});
  }

 private:
  SnapshotPtr current_;
};

}  // namespace gateway::snapshot
