#pragma once

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/keyed_hash.h"

namespace gateway::snapshot {

/// A map by text that holds at most `limit` values. What has been asked for since it was last considered stays;
/// of the rest the oldest goes. So a flood of keys that are asked for once (somebody guesses) does not drive
/// out those in use, and a new set of keys in use takes the place of an old one. Nobody can choose keys that
/// are looked for in the same place.
///
/// Source   SIEVE (Zhang et al., NSDI 2024): as good as LRU on such loads, and finding moves nothing.
template <class Value>
class BoundedMap {
 public:
  explicit BoundedMap(std::size_t limit = 1) : limit_(limit) { assert(limit > 0); }
  ~BoundedMap() { clear(); }
  BoundedMap(const BoundedMap&) = delete;
  BoundedMap& operator=(const BoundedMap&) = delete;

  /// Null when there is none. Valid until the map changes. Allocates nothing.
  Value* find(std::string_view key) noexcept { return find(key, TableHash::of_process()(key)); }
  /// The same with the key's digest, by TableHash::of_process().
  Value* find(std::string_view key, const Digest& digest) noexcept {
    if (size_ == 0) return nullptr;
    Node* node = *place_of(key, TableHash::of_process().spread(digest));
    if (node == nullptr) return nullptr;
    node->used = true;
    return &node->value;
  }

  void put(std::string key, Value value) {
    if (Value* known = find(key)) {
      *known = std::move(value);
      return;
    }
    if (size_ >= limit_) make_room();
    if (size_ >= places_.size()) grow();
    auto node = std::make_unique<Node>(std::move(key), std::move(value));
    node->hash = hash_of(node->key);
    node->older = newest_;
    if (newest_ != nullptr) newest_->newer = node.get();
    newest_ = node.get();
    if (oldest_ == nullptr) oldest_ = node.get();
    chain(node.release());
    ++size_;
  }

  void erase(std::string_view key) {
    if (size_ == 0) return;
    if (Node** place = place_of(key, hash_of(key)); *place != nullptr) unlink_and_erase(place);
  }

  void clear() noexcept {
    for (Node* node = oldest_; node != nullptr;) delete std::exchange(node, node->newer);
    places_.clear();
    size_ = 0;
    newest_ = oldest_ = hand_ = nullptr;
  }

  void set_limit(std::size_t limit) noexcept { limit_ = limit; }  ///< at least 1; before anything is in it
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  struct Node {
    Node(std::string of, Value is) : key(std::move(of)), value(std::move(is)) {}
    std::uint64_t hash = 0;
    Node* next = nullptr;  // at the same place
    const std::string key;
    Value value;
    Node* newer = nullptr;
    Node* older = nullptr;
    bool used = false;
  };

  static std::uint64_t hash_of(std::string_view key) noexcept {
    const TableHash& hash = TableHash::of_process();
    return hash.spread(hash(key));
  }

  // Where the chain that has the key, or would have it, begins. There are places, a power of two.
  [[nodiscard]] Node*& chain_of(std::uint64_t hash) noexcept { return places_[hash >> shift_]; }

  // The link to the key's node, or the null one at the end of its chain.
  Node** place_of(std::string_view key, std::uint64_t hash) noexcept {
    Node** link = &chain_of(hash);
    while (*link != nullptr && ((*link)->hash != hash || (*link)->key != key)) link = &(*link)->next;
    return link;
  }

  void chain(Node* node) noexcept {
    Node*& first = chain_of(node->hash);
    node->next = first;
    first = node;
  }

  void grow() {
    const std::size_t places = std::max<std::size_t>(2 * places_.size(), 16);
    places_.assign(places, nullptr);
    shift_ = 64 - std::countr_zero(places);
    for (Node* node = oldest_; node != nullptr; node = node->newer) chain(node);
  }

  // Each step but the last forgives one value its use: it ends after at most one round.
  void make_room() {
    Node* node = hand_ != nullptr ? hand_ : oldest_;
    while (node->used) {
      node->used = false;
      node = node->newer != nullptr ? node->newer : oldest_;
    }
    hand_ = node;
    unlink_and_erase(place_of(node->key, node->hash));
  }

  void unlink_and_erase(Node** link) noexcept {
    const std::unique_ptr<Node> node(*link);
    *link = node->next;
    if (hand_ == node.get()) hand_ = node->newer;
    (node->newer != nullptr ? node->newer->older : newest_) = node->older;
    (node->older != nullptr ? node->older->newer : oldest_) = node->newer;
    --size_;
  }

  std::size_t limit_;
  std::vector<Node*> places_;  // each the beginning of a chain; about as many as nodes
  int shift_ = 64;             // leaves of a hash as many of its upper bits as number the places
  std::size_t size_ = 0;
  Node* newest_ = nullptr;
  Node* oldest_ = nullptr;
  Node* hand_ = nullptr;  // where the search for the next to go begins; null: at the oldest
};

}  // namespace gateway::snapshot
