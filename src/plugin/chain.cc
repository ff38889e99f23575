#include "plugin/chain.h"

#include <algorithm>

#include "base/log.h"

namespace gateway::plugin {
namespace {

constexpr std::uint8_t http_protocols = entity::bit(entity::Protocol::http) | entity::bit(entity::Protocol::https) |
                                        entity::bit(entity::Protocol::grpc) | entity::bit(entity::Protocol::grpcs);

bool runs_first(const PluginType& a, const PluginType& b) {
  if (a.priority != b.priority) return a.priority > b.priority;
  return a.name > b.name;
}

// How specific a row without a consumer is: route and service 3, route 2, service 1, neither 0.
int rank(const entity::PluginConfig& config) { return (config.route ? 2 : 0) + (config.service ? 1 : 0); }

}  // namespace

ChainBuilder::ChainBuilder(std::vector<PluginType> types, const Services& services, ServiceOf service_of)
    : types_(std::move(types)), services_(services), service_of_(std::move(service_of)) {
  std::sort(types_.begin(), types_.end(), runs_first);
}

const PluginType* ChainBuilder::type_of(std::string_view name) const {
  const auto found = std::find_if(types_.begin(), types_.end(), [&](const PluginType& type) { return type.name == name; });
  return found == types_.end() ? nullptr : &*found;
}

ChainBuilder::Rows* ChainBuilder::home_of(const entity::PluginConfig& config) {
  if (config.route) return &rows_of_route_[*config.route];
  if (config.service) return &rows_of_service_[*config.service];
  return config.consumer ? nullptr : &rows_of_all_;
}

void ChainBuilder::touch(const entity::PluginConfig& config) {
  if (config.route) {
    stale_routes_.insert(*config.route);
  } else if (config.service) {
    stale_services_.insert(*config.service);
  } else {
    all_stale_ = true;
  }
}

void ChainBuilder::set(const entity::PluginConfig& config) {
  erase(config.id);
  if (!config.enabled || (config.protocols & http_protocols) == 0) return;
  const PluginType* type = type_of(config.name);
  if (type == nullptr) {
    log::error("plugin {} of row {} is not part of this build; the row is ignored", config.name, config.id.to_string());
    return;
  }
  Result<std::unique_ptr<Plugin>> made = type->make(config, services_);
  if (!made) {
    log::error("plugin {} of row {} cannot run: {}", config.name, config.id.to_string(), made.error().to_string());
    return;
  }
  const auto row = std::make_shared<const Row>(Row{config, Instance(std::move(*made))});
  rows_[config.id] = row;
  if (Rows* home = home_of(config)) {
    (*home)[config.id] = row;
  } else {
    std::shared_ptr<Consumers>& consumers = rows_of_consumers_[config.name];
    consumers = consumers ? std::make_shared<Consumers>(*consumers) : std::make_shared<Consumers>();
    consumers->set(*config.consumer, row->instance);
  }
  touch(config);
}

void ChainBuilder::erase(const Uuid& id) {
  const auto found = rows_.find(id);
  if (found == rows_.end()) return;
  const RowPtr row = found->second;
  rows_.erase(found);
  if (Rows* home = home_of(row->config)) {
    home->erase(id);
    if (home->empty() && row->config.route) rows_of_route_.erase(*row->config.route);
    if (home->empty() && !row->config.route && row->config.service) rows_of_service_.erase(*row->config.service);
  } else {
    std::shared_ptr<Consumers>& consumers = rows_of_consumers_[row->config.name];
    consumers = std::make_shared<Consumers>(*consumers);
    consumers->erase(*row->config.consumer);
    if (consumers->size() == 0) consumers = nullptr;
  }
  touch(row->config);
}

void ChainBuilder::route_changed(const Uuid& route) {
  if (rows_of_route_.contains(route)) stale_routes_.insert(route);
}

Slot ChainBuilder::slot_for(const PluginType& type, const std::optional<Uuid>& route, const std::optional<Uuid>& service) const {
  Slot slot;
  slot.phases = type.phases;
  slot.name = type.name;
  int base_rank = -1;
  std::unordered_map<Uuid, int> consumer_rank;
  const auto consider = [&](const Rows& rows) {
    for (const auto& [id, row] : rows) {
      const entity::PluginConfig& config = row->config;
      if (config.name != type.name) continue;
      // A row that names a route and a service holds only while the route belongs to that service.
      if (config.service && config.service != service) continue;
      const int row_rank = rank(config);
      if (!config.consumer) {
        if (row_rank > base_rank) {
          base_rank = row_rank;
          slot.base = row->instance;
        }
      } else if (const auto [best, first] = consumer_rank.try_emplace(*config.consumer, row_rank); first || row_rank > best->second) {
        best->second = row_rank;
        slot.by_consumer[*config.consumer] = row->instance;
      }
    }
  };
  consider(rows_of_all_);
  if (service) {
    if (const auto found = rows_of_service_.find(*service); found != rows_of_service_.end()) consider(found->second);
  }
  if (route) {
    if (const auto found = rows_of_route_.find(*route); found != rows_of_route_.end()) consider(found->second);
  }
  slot.base_beats_consumer = base_rank == 3;
  if (type.per_consumer) {
    if (const auto found = rows_of_consumers_.find(type.name); found != rows_of_consumers_.end()) slot.consumer_only = found->second;
  }
  return slot;
}

std::shared_ptr<const Chain> ChainBuilder::build(const std::optional<Uuid>& route, const std::optional<Uuid>& service) const {
  auto chain = std::make_shared<Chain>();
  for (const PluginType& type : types_) {
    Slot slot = slot_for(type, route, service);
    if (!slot.base && slot.by_consumer.empty() && !slot.consumer_only) continue;
    chain->rewrites |= has(type.phases, Phase::rewrite);
    chain->buffers_response |= has(type.phases, Phase::response);
    chain->filters_body |= has(type.phases, Phase::body_filter);
    chain->logs |= has(type.phases, Phase::log);
    chain->slots.push_back(std::move(slot));
  }
  return chain;
}

void ChainBuilder::rebuild_route(const Uuid& route) {
  if (rows_of_route_.contains(route)) {
    chains_.by_route_.set(route, build(route, service_of_(route)));
  } else {
    chains_.by_route_.erase(route);
  }
}

void ChainBuilder::rebuild_service(const Uuid& service) {
  if (rows_of_service_.contains(service)) {
    chains_.by_service_.set(service, build(std::nullopt, service));
  } else {
    chains_.by_service_.erase(service);
  }
}

const Chains& ChainBuilder::chains() {
  if (all_stale_) {
    chains_.global_ = build(std::nullopt, std::nullopt);
    for (const auto& [service, rows] : rows_of_service_) stale_services_.insert(service);
    for (const auto& [route, rows] : rows_of_route_) stale_routes_.insert(route);
    all_stale_ = false;
  }
  if (!stale_services_.empty()) {
    for (const auto& [route, rows] : rows_of_route_) {
      const std::optional<Uuid> service = service_of_(route);
      if (service && stale_services_.contains(*service)) stale_routes_.insert(route);
    }
  }
  for (const Uuid& service : stale_services_) rebuild_service(service);
  for (const Uuid& route : stale_routes_) rebuild_route(route);
  stale_services_.clear();
  stale_routes_.clear();
  return chains_;
}

}  // namespace gateway::plugin
