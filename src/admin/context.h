#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "admin/call.h"
#include "admin/writer.h"
#include "base/blocking_pool.h"
#include "entity/type.h"
#include "plugin/plugin.h"
#include "plugin/services.h"
#include "snapshot/population_cache.h"
#include "store/store.h"

namespace gateway::admin {

/// Connections and requests of all workers together, as /status shows them.
struct Counts {
  std::int64_t accepted = 0;
  std::int64_t active = 0;
  std::int64_t waiting = 0;
  std::int64_t requests = 0;
};

/// What the Admin API works with. All of it outlives the Api.
struct Context {
  store::Store& store;
  BlockingPool& pool;
  Writer& writer;
  const entity::Catalog& catalog;
  const std::vector<plugin::PluginType>& plugins;
  snapshot::PopulationCache& population;
  const plugin::Node& node;
  std::string product;                       ///< "sluice/1.2.3"
  std::function<Counts()> counts;
  std::function<bool()> ready;               ///< every worker serves from a snapshot
  Json configuration = Json::object();       ///< effective settings, secrets hidden
  Json identity = Json::object();            ///< shown under `sluice` in GET /
  std::vector<int> worker_pids;
  std::function<std::int64_t()> now;         ///< seconds since 1970
};

}  // namespace gateway::admin
