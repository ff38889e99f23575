#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/shared_parts.h"

namespace gateway::router {

/// From a well mixed 64-bit hash to a non-zero word: SharedMap's bargain (see SharedParts) with open addressing, so that
/// a look-up touches one cache line of entries. Worth its own type because the router asks several times per request,
/// mostly for what is not there.
class FlatIndex {
 public:
  /// Zero when absent.
  [[nodiscard]] std::uint64_t find(std::uint64_t key) const noexcept {
    const View view = views_[number(key)];
    if (view.slots == nullptr) return 0;
    for (std::size_t at = key & view.mask;; at = (at + 1) & view.mask) {
      const Slot& slot = view.slots[at];
      if (slot.value == 0 || slot.key == key) return slot.value;
    }
  }

  /// `value` must not be zero.
  void set(std::uint64_t key, std::uint64_t value) {
    Shard& shard = shards_.own(number(key));
    // At most half full: runs stay short and a search always meets an empty slot.
    if ((shard.used + 1) * 2 > shard.slots.size()) grow(shard);
    if (place(shard.slots, key, value)) ++shard.used;
    views_[number(key)] = {shard.slots.data(), shard.slots.size() - 1};
  }

  void erase(std::uint64_t key) {
    if (find(key) == 0) return;
    Shard& shard = shards_.own(number(key));
    const std::size_t mask = shard.slots.size() - 1;
    std::size_t hole = key & mask;
    while (shard.slots[hole].key != key) hole = (hole + 1) & mask;
    // Entries behind the hole move up unless that would put them before their home.
    for (std::size_t at = (hole + 1) & mask; shard.slots[at].value != 0; at = (at + 1) & mask) {
      const std::size_t home = shard.slots[at].key & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      shard.slots[hole] = shard.slots[at];
      hole = at;
    }
    shard.slots[hole] = {};
    --shard.used;
    views_[number(key)] = {shard.slots.data(), mask};
  }

 private:
  static constexpr std::size_t shard_count = 512;
  struct Slot {
    std::uint64_t key = 0;
    std::uint64_t value = 0;
  };
  struct View {
    const Slot* slots = nullptr;
    std::size_t mask = 0;
  };
  struct Shard {
    std::vector<Slot> slots = std::vector<Slot>(4);
    std::size_t used = 0;
  };

  // Slots are chosen by the low bits, shards by the high ones.
  static std::size_t number(std::uint64_t key) noexcept { return key >> 55; }

  static bool place(std::vector<Slot>& slots, std::uint64_t key, std::uint64_t value) {
    const std::size_t mask = slots.size() - 1;
    std::size_t at = key & mask;
    while (slots[at].value != 0 && slots[at].key != key) at = (at + 1) & mask;
    const bool added = slots[at].value == 0;
    slots[at] = {key, value};
    return added;
  }

  static void grow(Shard& shard) {
    std::vector<Slot> larger(shard.slots.size() * 2);
    for (const Slot& slot : shard.slots) {
      if (slot.value != 0) place(larger, slot.key, slot.value);
    }
    shard.slots = std::move(larger);
  }

  std::array<View, shard_count> views_{};  // of the shards: what readers need, one step nearer
  SharedParts<Shard, 16, shard_count / 16> shards_;
};

}  // namespace gateway::router
