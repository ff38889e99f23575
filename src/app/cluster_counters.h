#pragma once

#include "base/blocking_pool.h"
#include "plugin/services.h"
#include "store/store.h"

namespace gateway::app {

/// Counters every node sees, in the datastore.
class ClusterCounters final : public plugin::ClusterCounters {
 public:
  ClusterCounters(store::Store& store, BlockingPool& pool) : store_(store), pool_(pool) {}

  Task<Result<std::int64_t>> read(std::string key) override {
    auto work = [this, &key] { return store_.counter(key); };
    Result<std::int64_t> value = co_await pool_.run(work);
    co_return value;
  }

  Task<Result<std::int64_t>> add(std::string key, std::int64_t by, std::chrono::seconds ttl) override {
    auto work = [this, &key, by, ttl] { return store_.increment(key, by, ttl); };
    Result<std::int64_t> value = co_await adding_.run(work);
    co_return value;
  }

 private:
  store::Store& store_;
  BlockingPool& pool_;
  // One at a time is all the datastore takes; when it is slow, those who read must not wait behind.
  BlockingPool adding_{1};
};

}  // namespace gateway::app
