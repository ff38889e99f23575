#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/blocking_pool.h"
#include "base/clock.h"
#include "base/keyed_hash.h"
#include "base/result.h"
#include "base/task.h"

namespace gateway::plugin {

/// Reads population state (consumers, credentials, groups) by one field, through the node's cache:
/// bounded, one load at a time per key, absence remembered too, dropped when the row changes, and the old
/// value served when the datastore is down.
class PopulationIndex {
 public:
  /// What the rows with that value were parsed to; a null value means there are none.
  using Value = std::shared_ptr<const void>;

  virtual ~PopulationIndex() = default;
  /// Known on this worker already; null pointer when it has to be loaded. No lock, no allocation.
  [[nodiscard]] const Value* peek(std::string_view value) { return peek(value, TableHash::of_process()(value)); }
  /// The same for a value whose digest is known too.
  [[nodiscard]] virtual const Value* peek(std::string_view value, const Digest& digest) = 0;
  /// Errors: the datastore failed and nothing old is known.
  virtual Task<Result<Value>> load(std::string value) = 0;
};

class Population {
 public:
  /// All rows found (no rows: not called) to one value. Runs on the blocking pool.
  using Parse = std::shared_ptr<const void> (*)(const std::vector<nlohmann::json>& rows);

  virtual ~Population() = default;
  /// Rows of `entity` whose `field` (a unique field, a foreign field, or "id") has a value. Called while
  /// plugins are made; the same three arguments give the same index.
  virtual PopulationIndex& index(std::string_view entity, std::string_view field, Parse parse) = 0;
  /// Whether there are such rows at all: those of another plugin are there when it is enabled.
  [[nodiscard]] virtual bool knows(std::string_view entity) const = 0;
};

/// Counters of one window each, shared by all workers of the node and exact.
class LocalCounters {
 public:
  virtual ~LocalCounters() = default;
  /// Adds `by` (may be 0: read) to the counter; it is forgotten at `expires`. Returns the value after.
  /// `key` is of TableHash::of_process(), or such a digest and something else, summed up.
  virtual std::int64_t add(const Digest& key, std::int64_t by, System::time_point now, System::time_point expires) = 0;
};

/// The same through the datastore, for the whole cluster. Waits.
class ClusterCounters {
 public:
  virtual ~ClusterCounters() = default;
  virtual Task<Result<std::int64_t>> read(std::string key) = 0;
  virtual Task<Result<std::int64_t>> add(std::string key, std::int64_t by, std::chrono::seconds ttl) = 0;
};

/// Lines for a file, written by the blocking pool in order; never waits, drops nothing while memory lasts.
class FileAppender {
 public:
  virtual ~FileAppender() = default;
  /// `reopen`: close and open first (log rotation). Failures go to the error log.
  virtual void append(const std::string& path, std::string line, bool reopen) = 0;
};

/// Who this node is, as answers and records show it.
struct Node {
  std::string id;
  std::string hostname;
  std::string version;
};

/// What plugins are made with. All outlive every plugin.
struct Services {
  Population& population;
  LocalCounters& local_counters;
  ClusterCounters& cluster_counters;
  FileAppender& files;
  BlockingPool& pool;
  const Node& node;
  std::function<System::time_point()> now = [] { return System::now(); };
};

}  // namespace gateway::plugin
