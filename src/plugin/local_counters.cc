#include "plugin/local_counters.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <functional>

namespace gateway::plugin {
namespace {

// To some milliseconds, without reading the hardware's clock: for windows of seconds and more.
System::time_point roughly_now() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return System::time_point(std::chrono::duration_cast<System::duration>(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec)));
}

}  // namespace

std::int64_t ShardedCounters::add(std::string_view key, std::int64_t by, System::time_point expires) {
  const Hashed<std::string_view> hashed{key, std::hash<std::string_view>{}(key)};
  Shard& shard = shards_[(hashed.hash * 0x9E3779B97F4A7C15ULL >> 32) % shards_.size()];
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.counters.find(hashed);
  if (found != shard.counters.end()) {
    if (found->second.expires < roughly_now()) found->second = {0, expires};
    return found->second.value += by;
  }
  if (by == 0) return 0;
  if (shard.counters.size() >= shard.sweep_at) sweep(shard);
  shard.counters.emplace(Hashed<std::string>{std::string(key), hashed.hash}, Counter{by, expires});
  return by;
}

// Past windows go when there are twice as many counters as lived through the last sweep.
void ShardedCounters::sweep(Shard& shard) {
  const System::time_point now = roughly_now();
  std::erase_if(shard.counters, [&](const auto& each) { return each.second.expires < now; });
  shard.sweep_at = std::max<std::size_t>(64, 2 * shard.counters.size());
}

}  // namespace gateway::plugin
