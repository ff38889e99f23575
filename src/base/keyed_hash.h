#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gateway {

/// 128 bits that stand for a text: whoever does not know the key cannot find two texts that share them.
struct Digest {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  friend bool operator==(const Digest&, const Digest&) = default;
  /// Of the two as 128-bit numbers.
  friend Digest operator+(const Digest& a, const Digest& b) noexcept {
    const std::uint64_t low = a.low + b.low;
    return {low, a.high + b.high + (low < a.low ? 1 : 0)};
  }
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

/// The same in a fifth of the time, for tables in this process's memory: what it makes must never be shown to anybody.
///
/// NH: pairs of words, to each of which a secret of its own is added, are multiplied, and the products summed up. Of any two texts
/// the chance, over the secrets, that their digests differ by a given number, and so that they are the same, is at most 2^-63. That
/// is as good as a random function to those who choose texts and do not see digests; who sees some could solve for the secrets.
///
/// Source: Black, Halevi, Krawczyk, Krovetz and Rogaway, "UMAC"; with words of 64 bits Krovetz and Dai, "VMAC".
class TableHash {
 public:
  /// With secrets of this process: the same digests wherever it is asked for. Not before main.
  static const TableHash& of_process() noexcept { return of_process_; }

  [[nodiscard]] Digest operator()(std::string_view text) const noexcept;
  /// A number for a digest, of which any bits choose evenly between places.
  [[nodiscard]] std::uint64_t spread(const Digest& digest) const noexcept {
    // Texts in a row have digests in a row; the last steps of MurmurHash3 (Appleby) leave nothing of that.
    std::uint64_t mixed = digest.low * spread_[0] + digest.high * spread_[1];
    mixed = (mixed ^ mixed >> 33) * 0xff51afd7ed558ccdULL;
    mixed = (mixed ^ mixed >> 33) * 0xc4ceb9fe1a85ec53ULL;
    return mixed ^ mixed >> 33;
  }

 private:
  explicit TableHash(const KeyedHash& random);

  static const TableHash of_process_;
  static constexpr std::size_t longest = 128;  // beyond, SipHash does it: else there would have to be more secrets
  KeyedHash of_long_;
  std::array<std::uint64_t, 2> spread_;
  std::array<std::uint64_t, longest / 8 + 2> secrets_;
};

}  // namespace gateway
