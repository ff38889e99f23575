#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <vector>

#include "base/keyed_hash.h"
#include "plugin/services.h"

namespace gateway::plugin {

/// Counters of this node, exact across its workers. A key is looked after by one of many shards, so that two
/// requests hardly ever want the same lock, and hold it for one look-up.
///
/// Memory is bounded: a counter takes 32 bytes whatever its key, and when all room is taken by counters whose
/// windows still run, those that have counted least are forgotten, which lets their owners have that little again.
class ShardedCounters final : public LocalCounters {
 public:
  /// max_slots  of one shard, a power of two; at most three quarters of them are used. The default allows 786,432
  ///            counters on the node, in 32 MiB.
  explicit ShardedCounters(std::size_t max_slots = 4096) : max_slots_(max_slots) {}

  std::int64_t add(const Digest& key, std::int64_t by, System::time_point now, System::time_point expires) override;
  [[nodiscard]] std::size_t size() const;

 private:
  /// Free while `expires` is the epoch.
  struct Slot {
    Digest key;
    std::int64_t value = 0;
    System::time_point expires;
    [[nodiscard]] bool used() const noexcept { return expires != System::time_point(); }
  };
  struct alignas(64) Shard {
    mutable std::mutex mutex;
    std::vector<Slot> slots;  // open addressing; nothing is ever taken out alone
    std::size_t used = 0;

    Slot& find(const Digest& key, std::uint64_t place) noexcept;
  };
  void make_room(Shard& shard, System::time_point now) const;

  std::size_t max_slots_;
  const TableHash& hash_ = TableHash::of_process();
  std::array<Shard, 256> shards_;
};

}  // namespace gateway::plugin
