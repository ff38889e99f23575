#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "admin/call.h"
#include "admin/writer.h"
#include "base/blocking_pool.h"
#include "base/log.h"
#include "base/task.h"
#include "entity/type.h"
#include "plugin/plugin.h"
#include "plugin/services.h"
#include "snapshot/population_cache.h"
#include "store/store.h"
#include "upstream/balancing/health_book.h"

namespace gateway::admin {

/// Connections and requests of all workers together, as /status shows them.
struct Counts {
  std::int64_t accepted = 0;
  std::int64_t active = 0;
  std::int64_t waiting = 0;
  std::int64_t requests = 0;
};

/// What one worker's resolver knows of a name.
struct DnsName {
  std::string name;
  std::string type;                      ///< "A", "AAAA", "SRV"; "" when there is nothing but an error
  std::vector<std::string> addresses;    ///< "ip", of SRV "ip:port"
  std::string error;                     ///< of the last look-up
  std::chrono::milliseconds ttl_left{};  ///< until it is asked for again
  bool stale = false;                    ///< the addresses have expired and serve all the same
  bool hosts_file = false;
  std::uint64_t runs = 0, hits = 0, stale_hits = 0;  ///< times it was asked for; of them, answered at once by what was fresh, by what had expired
  std::uint64_t queries = 0, failures = 0;           ///< look-ups; of them, those that found nothing
};

/// What the settings say of every answer.
struct Manner {
  bool server = true;                    ///< tell the program in `Server`
  bool latency = true;                   ///< tell how long it took
  std::vector<std::string> gui_origins;  ///< "https://host:port" of the GUI's pages; none: any site may ask
};

/// What the Admin API works with. All of it outlives the Api.
struct Context {
  store::Store& store;
  BlockingPool& pool;
  Writer& writer;
  const entity::Catalog& catalog;
  const std::vector<plugin::PluginType>& plugins;
  snapshot::PopulationCache& population;
  upstream::HealthBook& health;
  const plugin::Node& node;
  std::string product;  ///< "sluice/1.2.3"
  std::function<Counts()> counts;
  std::function<bool()> ready;     ///< every worker serves from a snapshot
  std::function<bool()> draining;  ///< asked to let new work go elsewhere
  std::function<Manner()> manner;
  std::function<Json()> configuration;  ///< effective settings, secrets hidden
  Json identity = Json::object();       ///< shown under `sluice` in GET /
  std::function<std::vector<int>()> worker_pids;
  /// Until the time is over, or for good when it is zero.
  std::function<void(log::Level, std::chrono::seconds)> set_log_level;
  std::function<double()> now;  ///< seconds since 1970, with what follows the point
  std::function<bool()> new_dns_client;
  std::function<Task<std::vector<std::vector<DnsName>>>()> dns;  ///< of each worker
};

}  // namespace gateway::admin
