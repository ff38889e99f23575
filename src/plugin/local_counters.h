#pragma once

#include <array>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "plugin/services.h"

namespace gateway::plugin {

/// Counters of this node, exact across its workers. A key is looked after by one of many shards, so that two
/// requests hardly ever want the same lock, and hold it for one look-up.
class ShardedCounters final : public LocalCounters {
 public:
  std::int64_t add(std::string_view key, std::int64_t by, System::time_point expires) override;

 private:
  // Keys are long: each is hashed once, for its shard and its place there.
  template <class Text>
  struct Hashed {
    Text text;
    std::size_t hash;
  };
  struct Hash {
    using is_transparent = void;
    template <class Text>
    std::size_t operator()(const Hashed<Text>& key) const noexcept {
      return key.hash;
    }
  };
  struct Same {
    using is_transparent = void;
    template <class A, class B>
    bool operator()(const Hashed<A>& a, const Hashed<B>& b) const noexcept {
      return a.text == b.text;
    }
  };
  struct Counter {
    std::int64_t value = 0;
    System::time_point expires;
  };
  struct alignas(64) Shard {
    std::mutex mutex;
    std::unordered_map<Hashed<std::string>, Counter, Hash, Same> counters;
    std::size_t sweep_at = 64;
  };
  static void sweep(Shard& shard);

  std::array<Shard, 256> shards_;
};

}  // namespace gateway::plugin
