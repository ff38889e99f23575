#include "plugin/chain.h"

#include <algorithm>
#include <exception>

#include "base/log.h"

namespace gateway::plugin {
namespace {

bool runs_first(const PluginType& a, const PluginType& b) {
  if (a.priority != b.priority) return a.priority > b.priority;
  return a.name > b.name;
}

// How specific a row without a consumer is: route and service 3, route 2, service 1, neither 0.
int rank(const entity::PluginConfig& config) { return (config.route ? 2 : 0) + (config.service ? 1 : 0); }

}  // namespace

ChainBuilder::ChainBuilder(std::vector<PluginType> types, const Services& services, ServiceOf service_of, entity::Protocols protocols)
    : types_(std::move(types)), services_(services), service_of_(std::move(service_of)), protocols_(protocols) {
  std::sort(types_.begin(), types_.end(), runs_first);
  rows_of_consumers_.resize(types_.size());
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
  if (!config.enabled || (config.protocols & protocols_) == 0) return;
  const PluginType* type = type_of(config.name);
  if (type == nullptr) {
    log::error("plugin {} of row {} is not part of this build; the row is ignored", config.name, config.id.to_string());
    return;
  }
  Result<std::unique_ptr<Plugin>> made = make(*type, config);
  if (!made) {
    log::error("plugin {} of row {} cannot run: {}", config.name, config.id.to_string(), made.error().to_string());
    return;
  }
  const auto row = std::make_shared<const Row>(Row{config, Instance(std::move(*made))});
  rows_[config.id] = row;
  count_detour(*row->instance, true);
  if (Rows* home = home_of(config)) {
    (*home)[config.id] = row;
    touch(config);
  } else {
    set_for_consumer(config, row->instance);
  }
}

// A row's document was valid when it was written, but a datastore may hold anything.
Result<std::unique_ptr<Plugin>> ChainBuilder::make(const PluginType& type, const entity::PluginConfig& config) const {
  try {
    return type.make(config, services_);
  } catch (const std::exception& problem) {
    return Error{boost::system::errc::make_error_code(boost::system::errc::invalid_argument), Origin::gateway, problem.what()};
  }
}

void ChainBuilder::set_for_consumer(const entity::PluginConfig& config, const Instance& instance) {
  OfConsumers& consumers = rows_of_consumers_[place_of(*type_of(config.name))];
  if (instance) {
    consumers.rows.set(*config.consumer, instance);
  } else {
    consumers.rows.erase(*config.consumer);
  }
  consumers.changed = true;
}

void ChainBuilder::erase(const Uuid& id) {
  const auto found = rows_.find(id);
  if (found == rows_.end()) return;
  const RowPtr row = found->second;
  rows_.erase(found);
  count_detour(*row->instance, false);
  if (Rows* home = home_of(row->config)) {
    home->erase(id);
    if (home->empty()) {
      if (row->config.route) {
        rows_of_route_.erase(*row->config.route);
      } else if (row->config.service) {
        rows_of_service_.erase(*row->config.service);
      }
    }
    touch(row->config);
  } else {
    set_for_consumer(row->config, nullptr);
  }
}

void ChainBuilder::count_detour(const Plugin& plugin, bool more) {
  const std::string host(plugin.detours_to());
  if (host.empty()) return;
  unsigned& rows = detours_[host];
  detours_changed_ |= rows == (more ? 0 : 1);
  rows += more ? 1 : -1;
  if (rows == 0) detours_.erase(host);
}

void ChainBuilder::route_changed(const Uuid& route) {
  if (rows_of_route_.contains(route)) stale_routes_.insert(route);
}

Slot ChainBuilder::slot_for(const PluginType& type, const std::optional<Uuid>& route, const std::optional<Uuid>& service) const {
  Slot slot;
  slot.phases = type.phases;
  slot.name = type.name;
  slot.type = place_of(type);
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
  // Where the plugin knows no consumers, a row for one says nothing (and there should be none).
  slot.base_beats_consumer = base_rank == 3 || !type.per_consumer;
  return slot;
}

std::shared_ptr<const Chain> ChainBuilder::build(const std::optional<Uuid>& route, const std::optional<Uuid>& service) const {
  auto chain = std::make_shared<Chain>();
  for (const PluginType& type : types_) {
    Slot slot = slot_for(type, route, service);
    const bool for_consumers = type.per_consumer && rows_of_consumers_[place_of(type)].rows.size() > 0;
    if (!slot.base && slot.by_consumer.empty() && !for_consumers) continue;
    chain->rewrites |= has(type.phases, Phase::rewrite);
    chain->buffers_response |= has(type.phases, Phase::response);
    chain->filters_body |= has(type.phases, Phase::body_filter);
    chain->prereads |= has(type.phases, Phase::preread);
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

// With the first and the last row of a plugin its slot comes and goes everywhere; the others change no chain.
void ChainBuilder::publish_consumer_rows() {
  const auto changed = [](const OfConsumers& each) { return each.changed; };
  if (std::none_of(rows_of_consumers_.begin(), rows_of_consumers_.end(), changed)) return;
  auto published =
      chains_.consumer_rows_ ? std::make_shared<Chains::OfConsumers>(*chains_.consumer_rows_) : std::make_shared<Chains::OfConsumers>(types_.size());
  for (std::size_t i = 0; i < types_.size(); ++i) {
    OfConsumers& own = rows_of_consumers_[i];
    if (!std::exchange(own.changed, false)) continue;
    const bool any = own.rows.size() > 0;
    all_stale_ |= any != ((*published)[i] != nullptr);
    (*published)[i] = any ? std::make_shared<const ConsumerRows>(own.rows) : nullptr;
  }
  chains_.consumer_rows_ = std::move(published);
}

const Chains& ChainBuilder::chains() {
  publish_consumer_rows();
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
