#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/ascii.h"

namespace gateway::router {

/// Folds a 128-bit product: every input bit reaches every output bit.
[[nodiscard]] inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

/// Hashes of several beginnings of one text, each costing only what lies beyond the one before.
///
/// Not keyed: requests never insert, and whatever a hash finds is compared as text before it counts.
class PrefixHash {
 public:
  PrefixHash(std::uint64_t seed, std::string_view text) noexcept : state_(seed), text_(text) {}

  /// Of the first `length` bytes. Lengths must not decrease from call to call, nor exceed the text.
  [[nodiscard]] std::uint64_t at(std::size_t length) noexcept {
    for (; done_ + 8 <= length; done_ += 8) state_ = mix(state_ ^ load(done_), 0x9E3779B97F4A7C15ULL);
    std::uint64_t tail = 0;
    if (length >= 8) {
      tail = load(length - 8);
    } else {
      for (std::size_t i = 0; i < length; ++i) tail = tail << 8 | static_cast<unsigned char>(text_[i]);
    }
    return mix(mix(state_ ^ tail, 0xD6E8FEB86659FD93ULL) ^ length, 0xA0761D6478BD642FULL);
  }

 private:
  [[nodiscard]] std::uint64_t load(std::size_t at) const noexcept {
    std::uint64_t word;
    std::memcpy(&word, text_.data() + at, sizeof word);
    return word;
  }

  std::uint64_t state_;
  std::string_view text_;
  std::size_t done_ = 0;
};

[[nodiscard]] inline std::uint64_t hash(std::uint64_t seed, std::string_view text) noexcept { return PrefixHash(seed, text).at(text.size()); }

/// The same for texts that differ in ASCII case only.
[[nodiscard]] inline std::uint64_t hash_ignoring_case(std::uint64_t seed, std::string_view text) noexcept {
  std::uint64_t state = seed ^ 0xCBF29CE484222325ULL;
  for (const char c : text) state = (state ^ static_cast<unsigned char>(lower(c))) * 0x100000001B3ULL;
  return mix(state, 0xD6E8FEB86659FD93ULL);
}

}  // namespace gateway::router
