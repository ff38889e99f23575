#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "entity/service.h"
#include "snapshot/snapshot.h"
#include "store/store.h"
#include "tls/client_context.h"

namespace gateway::snapshot {

/// What the node does towards services that do not say otherwise.
struct ServiceTrust {
  bool verify = false;
  unsigned verify_depth = 1;
  tls::ClientOptions node;  ///< authorities, versions, ciphers and the node's own certificate
};

/// Finds how each service is spoken to over TLS. Services that trust the same and are shown the same share one context.
/// Control thread only.
class TrustBook {
 public:
  explicit TrustBook(ServiceTrust defaults) : defaults_(std::move(defaults)) {}

  /// Null: the service is spoken to in clear text. Errors: what it names is not there or cannot be used.
  Result<std::shared_ptr<const tls::ClientContext>> context_for(const entity::Service& service, const Snapshot& with) {
    return context_for(service, service.host, with);
  }
  /// For requests to the service that go to another host.
  Result<std::shared_ptr<const tls::ClientContext>> context_for(const entity::Service& service, const std::string& host, const Snapshot& with);

  /// A certificate or an authority has changed: contexts are made again. True: for an upstream whose services show
  /// another certificate from now on as well.
  bool apply(const store::Change& change);

 private:
  ServiceTrust defaults_;
  void forget_unused();

  // By what they were made of. Services own them: those that no service has any more go, and each may weigh a megabyte.
  std::unordered_map<std::string, std::weak_ptr<const tls::ClientContext>> contexts_;
  std::size_t forget_at_ = 64;                   // so many contexts
  std::unordered_map<std::string, Uuid> shown_;  // by name of an upstream
  std::unordered_map<Uuid, std::string> names_;  // of upstreams that show one
};

}  // namespace gateway::snapshot
