#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <unordered_map>
#include <utility>

#include "base/shared_parts.h"

namespace gateway {

/// A hash map that is cheap to copy and change: see SharedParts. With N entries a first change after a copy costs about
/// 128 + N / 4096, further changes in the same part only their own.
/// With a Hash that is transparent, what is looked up need not be a Key: a view finds a string.
template <class Key, class Value, class Hash = std::hash<Key>>
class SharedMap {
  using Part = std::unordered_map<Key, Value, Hash, std::equal_to<>>;

 public:
  template <class Other = Key>
  [[nodiscard]] const Value* find(const Other& key) const {
    const Part* part = parts_.find(number(key));
    if (part == nullptr) return nullptr;
    const auto found = part->find(key);
    return found == part->end() ? nullptr : &found->second;
  }

  void set(const Key& key, Value value) {
    if (parts_.own(number(key)).insert_or_assign(key, std::move(value)).second) ++size_;
  }

  bool erase(const Key& key) {
    if (find(key) == nullptr) return false;
    parts_.own(number(key)).erase(key);
    --size_;
    return true;
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  template <class F>
  void for_each(F&& visit) const {
    parts_.for_each([&](const Part& part) {
      for (const auto& [key, value] : part) visit(key, value);
    });
  }

 private:
  using Parts = SharedParts<Part, 64, 64>;

  // The part's own buckets use the low bits of the hash: take its number from the high ones.
  template <class Other>
  static std::size_t number(const Other& key) noexcept {
    return (std::uint64_t{Hash{}(key)} * 0x9E3779B97F4A7C15ULL >> 40) % Parts::count;
  }

  Parts parts_;
  std::size_t size_ = 0;
};

}  // namespace gateway
