#include "plugin/local_counters.h"

#include <algorithm>
#include <bit>
#include <iterator>

#include "base/log.h"

namespace gateway::plugin {
namespace {

constexpr std::size_t least_slots = 16;

}  // namespace

// The slot of that key, or the free one where it belongs. There always is a free one.
ShardedCounters::Slot& ShardedCounters::Shard::find(const Digest& key, std::uint64_t place) noexcept {
  const std::size_t mask = slots.size() - 1;
  std::size_t at = place >> 32 & mask;
  while (slots[at].used() && slots[at].key != key) at = (at + 1) & mask;
  return slots[at];
}

std::int64_t ShardedCounters::add(const Digest& key, std::int64_t by, System::time_point now, System::time_point expires) {
  const std::uint64_t place = hash_.spread(key);
  static_assert(std::tuple_size_v<decltype(shards_)> == 256);
  Shard& shard = shards_[place >> 56];
  const std::lock_guard lock(shard.mutex);
  Slot* slot = shard.slots.empty() ? nullptr : &shard.find(key, place);
  if (slot == nullptr || !slot->used()) {
    if (by <= 0) return 0;
    if (slot == nullptr || shard.used >= shard.slots.size() / 4 * 3) {
      make_room(shard, now);
      slot = &shard.find(key, place);
    }
    *slot = {key, 0, expires};
    ++shard.used;
  } else if (slot->expires < now) {
    *slot = {key, 0, expires};
  }
  // What was taken back may have been counted in a window that has passed.
  return slot->value = std::max<std::int64_t>(0, slot->value + by);
}

// Past windows go. The table then grows or shrinks to twice what is left, up to its limit.
void ShardedCounters::make_room(Shard& shard, System::time_point now) const {
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
  for (const Slot& slot : kept) shard.find(slot.key, hash_.spread(slot.key)) = slot;
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
