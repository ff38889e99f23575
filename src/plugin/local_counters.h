#pragma once

#include <array>
#include <mutex>
#include <string>
#include <unordered_map>

#include "plugin/services.h"

namespace gateway::plugin {

/// Counters of this node, exact across its workers. A key is looked after by one of many shards, so that two
/// requests hardly ever want the same lock, and hold it for one look-up.
class ShardedCounters final : public LocalCounters {
 public:
  std::int64_t add(std::string_view key, std::int64_t by, System::time_point expires) override;

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
  };
  struct Counter {
    std::int64_t value = 0;
    System::time_point expires;
  };
  struct alignas(64) Shard {
    std::mutex mutex;
    std::unordered_map<std::string, Counter, Hash, std::equal_to<>> counters;
    std::size_t sweep_at = 64;
  };
  static void sweep(Shard& shard);

  std::array<Shard, 256> shards_;
};

}  // namespace gateway::plugin
