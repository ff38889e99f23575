#pragma once

#include <functional>
#include <memory>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/executor.h"
#include "entity/type.h"
#include "plugin/plugin.h"
#include "plugin/services.h"
#include "snapshot/certificate_book.h"
#include "snapshot/snapshot.h"
#include "snapshot/trust_book.h"
#include "store/store.h"

namespace gateway::snapshot {

/// Turns the datastore's changes into snapshots and hands them to the workers. Control thread only.
///
/// A change costs in proportion to itself: the next snapshot shares all that did not change. Changes that
/// come in while one is being built go into the next one together.
class Publisher {
 public:
  /// Takes a snapshot over on its own thread, soon.
  using Subscriber = std::function<void(SnapshotPtr)>;

  Publisher(Executor& control, router::Flavour flavour, std::vector<plugin::PluginType> types, const plugin::Services& services, ServiceTrust trust = {});

  /// Reads the whole configuration. Blocks: for the start, before anything is served. Errors: the datastore
  /// failed, or has a row of a plugin that does not run here: without it (say, key-auth) too much would be let in.
  Status load(store::Store& store, const entity::Catalog& catalog);
  void subscribe(Subscriber subscriber) { subscribers_.push_back(std::move(subscriber)); }
  /// What was committed; in force on every worker some milliseconds later.
  void changed(const std::vector<store::Change>& changes);
  /// The peers of the upstream of that name; null: there is no such upstream. In force as what was committed.
  void set_balancer(const std::string& name, std::shared_ptr<const upstream::Balancer> balancer);
  /// A certificate entity by its id; null: there is none.
  [[nodiscard]] tls::ServerCertificatePtr certificate(const Uuid& id) const;
  /// Builds and hands out now what is pending.
  void publish();

 private:
  void publish_soon();
  void apply(const store::Change& change);
  void set_plugin(const Json& document);
  void erase_plugin(const Uuid& id);
  void set_service(const Json& document);
  void erase_service(const Uuid& id);
  std::shared_ptr<const Upstream> make_upstream(entity::Service service);
  void add_elsewhere(Upstream& upstream);
  void trust_again();
  void set_route(const Json& document);
  void erase_route(const Uuid& id);
  void route(const std::shared_ptr<const entity::Route>& route);
  void route_changed(const Uuid& id);
  [[nodiscard]] std::optional<Uuid> service_of(const Uuid& route) const;

  Executor& control_;
  Snapshot working_;
  std::unordered_map<Uuid, std::shared_ptr<const entity::Route>> routes_;
  std::unordered_map<Uuid, std::unordered_set<Uuid>> routes_of_service_;
  plugin::ChainBuilder chains_;
  plugin::ChainBuilder stream_chains_;
  CertificateBook certificates_;
  TrustBook trust_;
  std::vector<Subscriber> subscribers_;
  bool publishing_ = false;
};

}  // namespace gateway::snapshot
