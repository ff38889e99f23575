#pragma once

#include <cstdint>
#include <string_view>

namespace gateway {

/// 128 bits that stand for a text: whoever does not know the key cannot find two texts that share them.
struct Digest {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  friend bool operator==(const Digest&, const Digest&) = default;
};

/// SipHash-2-4 with 128 bits of output, for keys of tables that clients choose.
/// Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF".
class KeyedHash {
 public:
  KeyedHash(std::uint64_t key_low, std::uint64_t key_high) noexcept : key_low_(key_low), key_high_(key_high) {}
  static KeyedHash random();  ///< with a key of its own

  [[nodiscard]] Digest operator()(std::string_view text) const noexcept;

 private:
  std::uint64_t key_low_;
  std::uint64_t key_high_;
};

}  // namespace gateway
