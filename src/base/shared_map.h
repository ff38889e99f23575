#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <functional>
#include <memory>
#include <unordered_map>
#include <utility>

namespace gateway {

/// A hash map that is cheap to copy and change: copies share all shards, a change copies one.
///
/// For what is in a snapshot: readers of the old copy never see the new one's changes. One writer;
/// readers on any thread as long as their copy is not the one written. With N entries a first change
/// after a copy costs about shards + N / shards, further changes in the same shard only their own.
/// With a Hash that is transparent, what is looked up need not be a Key: a view finds a string.
template <class Key, class Value, std::size_t shards = 512, class Hash = std::hash<Key>>
class SharedMap {
  using Shard = std::unordered_map<Key, Value, Hash, std::equal_to<>>;

 public:
  SharedMap() = default;
  SharedMap(const SharedMap& other) : shards_(other.shards_), size_(other.size_) { other.owned_.reset(); }
  SharedMap& operator=(const SharedMap& other) {
    shards_ = other.shards_;
    size_ = other.size_;
    owned_.reset();
    other.owned_.reset();
    return *this;
  }

  template <class Other = Key>
  [[nodiscard]] const Value* find(const Other& key) const {
    const std::shared_ptr<Shard>& shard = shards_[slot(key)];
    if (!shard) return nullptr;
    const auto found = shard->find(key);
    return found == shard->end() ? nullptr : &found->second;
  }

  void set(const Key& key, Value value) {
    Shard& shard = own(slot(key));
    if (shard.insert_or_assign(key, std::move(value)).second) ++size_;
  }

  bool erase(const Key& key) {
    if (find(key) == nullptr) return false;
    own(slot(key)).erase(key);
    --size_;
    return true;
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  template <class F>
  void for_each(F&& visit) const {
    for (const auto& shard : shards_) {
      if (!shard) continue;
      for (const auto& [key, value] : *shard) visit(key, value);
    }
  }

 private:
  // The map's own buckets use the low bits of the hash: take the shard from the high ones.
  template <class Other>
  static std::size_t slot(const Other& key) noexcept {
    return (Hash{}(key)*0x9E3779B97F4A7C15ULL >> 40) % shards;
  }
  Shard& own(std::size_t slot) {
    std::shared_ptr<Shard>& shard = shards_[slot];
    if (!owned_.test(slot)) {
      shard = shard ? std::make_shared<Shard>(*shard) : std::make_shared<Shard>();
      owned_.set(slot);
    }
    return *shard;
  }

  std::array<std::shared_ptr<Shard>, shards> shards_{};
  // Shards no copy shares, which may be changed in place. Not use_count(): a reader that lets go of its
  // copy on another thread would have to be synchronised with. Copying disowns both sides, hence mutable.
  mutable std::bitset<shards> owned_{};
  std::size_t size_ = 0;
};

}  // namespace gateway
