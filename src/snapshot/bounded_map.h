#pragma once

#include <cassert>
#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace gateway::snapshot {

/// A map by text that holds at most `limit` values. What has been asked for since it was last considered stays;
/// of the rest the oldest goes. So a flood of keys that are asked for once (somebody guesses) does not drive
/// out those in use, and a new set of keys in use takes the place of an old one.
///
/// Source   SIEVE (Zhang et al., NSDI 2024): as good as LRU on such loads, and finding moves nothing.
template <class Value>
class BoundedMap {
 public:
  explicit BoundedMap(std::size_t limit = 1) : limit_(limit) { assert(limit > 0); }
  BoundedMap(const BoundedMap&) = delete;
  BoundedMap& operator=(const BoundedMap&) = delete;

  /// Null when there is none. Valid until the map changes. Allocates nothing.
  Value* find(std::string_view key) noexcept {
    const auto found = slots_.find(key);
    if (found == slots_.end()) return nullptr;
    found->second.used = true;
    return &found->second.value;
  }

  void put(std::string key, Value value) {
    if (Value* known = find(key)) {
      *known = std::move(value);
      return;
    }
    if (slots_.size() >= limit_) make_room();
    Node* node = &*slots_.emplace(std::move(key), Slot{std::move(value)}).first;
    node->second.older = newest_;
    if (newest_ != nullptr) newest_->second.newer = node;
    newest_ = node;
    if (oldest_ == nullptr) oldest_ = node;
  }

  void erase(std::string_view key) {
    if (const auto found = slots_.find(key); found != slots_.end()) unlink_and_erase(found);
  }

  void clear() noexcept {
    slots_.clear();
    newest_ = oldest_ = hand_ = nullptr;
  }

  void set_limit(std::size_t limit) noexcept { limit_ = limit; }  ///< at least 1; before anything is in it
  [[nodiscard]] std::size_t size() const noexcept { return slots_.size(); }

 private:
  struct Slot;
  using Node = std::pair<const std::string, Slot>;
  struct Slot {
    Value value;
    Node* newer = nullptr;
    Node* older = nullptr;
    bool used = false;
  };
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
  };
  using Slots = std::unordered_map<std::string, Slot, TextHash, std::equal_to<>>;  // nodes stay where they are

  // Each step but the last forgives one value its use: it ends after at most one round.
  void make_room() {
    Node* node = hand_ != nullptr ? hand_ : oldest_;
    while (node->second.used) {
      node->second.used = false;
      node = node->second.newer != nullptr ? node->second.newer : oldest_;
    }
    hand_ = node;
    unlink_and_erase(slots_.find(node->first));
  }

  void unlink_and_erase(typename Slots::iterator position) {
    Slot& slot = position->second;
    if (hand_ == &*position) hand_ = slot.newer;
    (slot.newer != nullptr ? slot.newer->second.older : newest_) = slot.older;
    (slot.older != nullptr ? slot.older->second.newer : oldest_) = slot.newer;
    slots_.erase(position);
  }

  std::size_t limit_;
  Slots slots_;
  Node* newest_ = nullptr;
  Node* oldest_ = nullptr;
  Node* hand_ = nullptr;  // where the search for the next to go begins; null: at the oldest
};

}  // namespace gateway::snapshot
