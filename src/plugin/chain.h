#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/shared_map.h"
#include "base/uuid.h"
#include "plugin/plugin.h"

namespace gateway::plugin {

/// A plugin made from one row of `plugins`.
using Instance = std::shared_ptr<const Plugin>;

/// Rows that name a consumer and nothing else, of one plugin.
using ConsumerRows = SharedMap<Uuid, Instance>;

/// One plugin's configurations for one (route, service), by whom they apply to. Exactly one runs.
/// Order: Kong 3.9 plugin precedence, route+service+consumer down to global.
struct Slot {
  Phase phases = Phase::access;
  std::string_view name;
  Instance base;                                   ///< for every consumer: may be null
  bool base_beats_consumer = false;                ///< it names route and service, so a row for the consumer alone loses
  std::unordered_map<Uuid, Instance> by_consumer;  ///< rows that name the route or service, and a consumer
  std::size_t type = 0;                            ///< the plugin's place in the order; see Chains::choose
};

/// What runs for one (route, service), highest priority first. A request walks the array.
struct Chain {
  std::vector<Slot> slots;
  bool rewrites = false;
  bool buffers_response = false;  ///< some plugin has a response phase
  bool filters_body = false;
  bool prereads = false;  ///< some plugin looks at streams before they go on
  bool logs = false;
};

/// All chains of a snapshot. Cheap to copy; see SharedMap.
class Chains {
 public:
  [[nodiscard]] const Chain& global() const noexcept { return *global_; }
  /// What runs in a slot for a consumer (null: nobody has authenticated); null when nothing does. Rows for a
  /// consumer alone are not part of the chains, so that one more of them leaves the chains as they are.
  [[nodiscard]] const Plugin* choose(const Slot& slot, const entity::Consumer* consumer) const {
    if (consumer != nullptr) {
      if (!slot.by_consumer.empty()) {
        if (const auto found = slot.by_consumer.find(consumer->id); found != slot.by_consumer.end()) return found->second.get();
      }
      const ConsumerRows* rows = slot.base_beats_consumer || !consumer_rows_ ? nullptr : (*consumer_rows_)[slot.type].get();
      if (rows != nullptr) {
        if (const Instance* found = rows->find(consumer->id)) return found->get();
      }
    }
    return slot.base.get();
  }
  [[nodiscard]] const Chain& of(const entity::Route& route) const { return *shared_of(route); }
  /// The same, for what outlives the snapshot.
  [[nodiscard]] const std::shared_ptr<const Chain>& shared_of(const entity::Route& route) const {
    if (by_route_.size() > 0) {
      if (const auto* found = by_route_.find(route.id)) return *found;
    }
    if (route.service && by_service_.size() > 0) {
      if (const auto* found = by_service_.find(*route.service)) return *found;
    }
    return global_;
  }
  [[nodiscard]] const std::shared_ptr<const Chain>& shared_global() const noexcept { return global_; }

 private:
  friend class ChainBuilder;
  using Map = SharedMap<Uuid, std::shared_ptr<const Chain>>;
  using OfConsumers = std::vector<std::shared_ptr<const ConsumerRows>>;
  std::shared_ptr<const Chain> global_ = std::make_shared<const Chain>();
  std::shared_ptr<const OfConsumers> consumer_rows_;  // by place of the plugin; null where it has none
  Map by_service_;
  Map by_route_;
};

/// Keeps the chains right as rows of `plugins` and routes come and go, for HTTP or for streams. Control thread only.
///
/// A change costs in proportion to the chains it touches: one for a row bound to a route, those of its
/// routes with rows of their own for a service, all of them for a global one, and none for one more row of a
/// consumer alone.
class ChainBuilder {
 public:
  /// The service a route belongs to now; nullopt when it has none or does not exist.
  using ServiceOf = std::function<std::optional<Uuid>(const Uuid& route)>;

  /// `protocols`: rows that name none of them do not exist here, so that a broader row applies (Kong 3.9, plugin iterator).
  ChainBuilder(std::vector<PluginType> types, const Services& services, ServiceOf service_of, entity::Protocols protocols = entity::http_protocols);

  /// Whether rows of this plugin can be set.
  [[nodiscard]] bool knows(std::string_view name) const { return type_of(name) != nullptr; }
  /// Rows of plugins this build does not have, or that cannot be made, are left out with a log line.
  void set(const entity::PluginConfig& row);
  void erase(const Uuid& row);
  /// Hosts that plugins may send requests to instead of to their services, once each; and whether there are others than at
  /// the last call of the second.
  [[nodiscard]] const std::unordered_map<std::string, unsigned>& detours() const noexcept { return detours_; }
  [[nodiscard]] bool detours_changed() noexcept { return std::exchange(detours_changed_, false); }
  /// The route was created, removed, or given to another service.
  void route_changed(const Uuid& route);

  /// The chains as they should be now. Rebuilds what changed since the last call.
  const Chains& chains();

 private:
  struct Row {
    entity::PluginConfig config;
    Instance instance;
  };
  using RowPtr = std::shared_ptr<const Row>;
  using Rows = std::unordered_map<Uuid, RowPtr>;
  struct OfConsumers {
    ConsumerRows rows;
    bool changed = false;
  };

  [[nodiscard]] const PluginType* type_of(std::string_view name) const;
  [[nodiscard]] std::size_t place_of(const PluginType& type) const { return static_cast<std::size_t>(&type - types_.data()); }
  void count_detour(const Plugin& plugin, bool more);
  void touch(const entity::PluginConfig& config);
  void set_for_consumer(const entity::PluginConfig& config, const Instance& instance);
  [[nodiscard]] Result<std::unique_ptr<Plugin>> make(const PluginType& type, const entity::PluginConfig& config) const;
  [[nodiscard]] Rows* home_of(const entity::PluginConfig& config);
  [[nodiscard]] Slot slot_for(const PluginType& type, const std::optional<Uuid>& route, const std::optional<Uuid>& service) const;
  [[nodiscard]] std::shared_ptr<const Chain> build(const std::optional<Uuid>& route, const std::optional<Uuid>& service) const;
  void rebuild_route(const Uuid& route);
  void rebuild_service(const Uuid& service);
  void publish_consumer_rows();

  std::vector<PluginType> types_;  // in the order they run
  const Services& services_;
  ServiceOf service_of_;
  entity::Protocols protocols_;
  Rows rows_;
  std::unordered_map<Uuid, Rows> rows_of_route_;
  std::unordered_map<Uuid, Rows> rows_of_service_;     // and no route
  Rows rows_of_all_;                                   // no route, no service, no consumer
  std::vector<OfConsumers> rows_of_consumers_;         // a consumer alone, by place of the plugin
  std::unordered_map<std::string, unsigned> detours_;  // how many rows name each
  bool detours_changed_ = false;
  Chains chains_;
  bool all_stale_ = false;
  std::unordered_set<Uuid> stale_routes_;
  std::unordered_set<Uuid> stale_services_;
};

}  // namespace gateway::plugin
