#include "plugin/local_counters.h"

#include <algorithm>

namespace gateway::plugin {

std::int64_t ShardedCounters::add(std::string_view key, std::int64_t by, System::time_point expires) {
  Shard& shard = shards_[(Hash{}(key) * 0x9E3779B97F4A7C15ULL >> 32) % shards_.size()];
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.counters.find(key);
  if (found != shard.counters.end()) {
    if (found->second.expires < System::now()) found->second = {0, expires};
    return found->second.value += by;
  }
  if (by == 0) return 0;
  if (shard.counters.size() >= shard.sweep_at) sweep(shard);
  shard.counters.emplace(std::string(key), Counter{by, expires});
  return by;
}

// Past windows go when there are twice as many counters as lived through the last sweep.
void ShardedCounters::sweep(Shard& shard) {
  const System::time_point now = System::now();
  std::erase_if(shard.counters, [&](const auto& each) { return each.second.expires < now; });
  shard.sweep_at = std::max<std::size_t>(64, 2 * shard.counters.size());
}

}  // namespace gateway::plugin
