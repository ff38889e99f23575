#include "plugin/local_counters.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <ctime>
#include <iterator>

#include "base/log.h"

namespace gateway::plugin {
namespace {

constexpr std::size_t least_slots = 16;

// To some milliseconds, without reading the hardware's clock: for windows of seconds and more.
System::time_point roughly_now() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return System::time_point(std::chrono::duration_cast<System::duration>(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec)));
}

}  // namespace

// The slot of that key, or the free one where it belongs. There always is a free one.
ShardedCounters::Slot& ShardedCounters::Shard::find(const Digest& key) noexcept {
  const std::size_t mask = slots.size() - 1;
  std::size_t at = key.low & mask;
  while (slots[at].used() && slots[at].key != key) at = (at + 1) & mask;
  return slots[at];
}

std::int64_t ShardedCounters::add(std::string_view key, std::int64_t by, System::time_point expires) {
  const Digest digest = hash_(key);
  Shard& shard = shards_[digest.high % shards_.size()];
  const std::lock_guard lock(shard.mutex);
  Slot* slot = shard.slots.empty() ? nullptr : &shard.find(digest);
  if (slot == nullptr || !slot->used()) {
    if (by <= 0) return 0;
    if (slot == nullptr || shard.used >= shard.slots.size() / 4 * 3) {
      make_room(shard);
      slot = &shard.find(digest);
    }
    *slot = {digest, 0, expires};
    ++shard.used;
  } else if (slot->expires < roughly_now()) {
    *slot = {digest, 0, expires};
  }
  // What was taken back may have been counted in a window that has passed.
  return slot->value = std::max<std::int64_t>(0, slot->value + by);
}

// Past windows go. The table then grows or shrinks to twice what is left, up to its limit.
void ShardedCounters::make_room(Shard& shard) const {
  const System::time_point now = roughly_now();
  std::vector<Slot> kept;
  kept.reserve(shard.used);
  std::copy_if(shard.slots.begin(), shard.slots.end(), std::back_inserter(kept), [&](const Slot& slot) { return slot.used() && slot.expires >= now; });
  const std::size_t most = max_slots_ / 8 * 5;
  if (kept.size() > most) {
    log::info("no room for more counters: forgetting {} that have counted least", kept.size() - most);
    const auto counted_more = [](const Slot& a, const Slot& b) { return a.value != b.value ? a.value > b.value : a.expires > b.expires; };
    std::nth_element(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(most), kept.end(), counted_more);
    kept.resize(most);
  }
  shard.slots.assign(std::clamp(std::bit_ceil(2 * kept.size() + 1), std::min(least_slots, max_slots_), max_slots_), Slot());
  for (const Slot& slot : kept) shard.find(slot.key) = slot;
  shard.used = kept.size();
}

std::size_t ShardedCounters::size() const {
  std::size_t sum = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    sum += shard.used;
  }
  return sum;
}

}  // namespace gateway::plugin
