#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/blocking_pool.h"
#include "base/executor.h"
#include "entity/type.h"
#include "plugin/services.h"
#include "store/store.h"

namespace gateway::snapshot {

/// What requests see of consumers and credentials: the datastore through two levels of memory, one per
/// worker that needs no lock and one per node behind it.
///
/// Bounded at both levels; one load at a time per value, for all who wait; absence is remembered; a change
/// drops what it touched; when the datastore fails, the value known before answers.
class PopulationCache final : public plugin::Population {
 public:
  struct Limits {
    std::size_t per_worker = 16384;  ///< values of one index
    std::size_t per_node = 65536;    ///< values of one index
    std::chrono::seconds ttl{0};     ///< how long a value is trusted; zero: until it changes
    std::chrono::seconds negative_ttl{0};
  };

  PopulationCache(store::Store& store, BlockingPool& pool, const entity::Catalog& catalog, Limits limits);
  ~PopulationCache() override;

  plugin::PopulationIndex& index(std::string_view entity, std::string_view field, Parse parse) override;
  [[nodiscard]] bool knows(std::string_view entity) const override;

  /// A loop whose thread reads through this cache, before it starts, and after it has ended. Control thread.
  void add_worker(Executor& worker);
  void remove_worker(Executor& worker);
  /// Drops what these changes touched, here and on every worker. Any thread, one at a time.
  void changed(const std::vector<store::Change>& changes);
  /// Drops everything (DELETE /cache).
  void clear();
  /// Whether a value is held, for GET /cache/{key}: "<entity>:<value>".
  [[nodiscard]] bool holds(std::string_view key) const;

 private:
  class Index;

  store::Store& store_;
  BlockingPool& pool_;
  const entity::Catalog& catalog_;
  Limits limits_;
  std::vector<Executor*> workers_;
  mutable std::mutex mutex_;  // of indexes_; taken while plugins are made, not by requests
  std::vector<std::unique_ptr<Index>> indexes_;
};

}  // namespace gateway::snapshot
