#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace gateway {

/// An entity's id as 16 bytes. Text form: 36 characters, hex 8-4-4-4-12, either case accepted, lower written.
struct Uuid {
  std::array<std::uint8_t, 16> bytes{};

  static Uuid random();  ///< version 4
  static std::optional<Uuid> parse(std::string_view text) noexcept;
  static constexpr std::size_t text_size = 36;
  /// Writes the text form to `out`, which has room for text_size characters, and returns it.
  std::string_view write(char* out) const noexcept;
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] bool is_nil() const noexcept { return *this == Uuid{}; }

  friend auto operator<=>(const Uuid&, const Uuid&) = default;
  // As numbers: to have sixteen bytes compared by a call costs more than the rest of a look-up.
  friend constexpr bool operator==(const Uuid& a, const Uuid& b) noexcept {
    const auto one = std::bit_cast<Halves>(a.bytes);
    const auto other = std::bit_cast<Halves>(b.bytes);
    return ((one[0] ^ other[0]) | (one[1] ^ other[1])) == 0;
  }

 private:
  using Halves = std::array<std::uint64_t, 2>;
};

/// 32 lower-case hex characters, unique enough to name a request: not a secret.
void write_request_id(char (&out)[32]) noexcept;

/// `length` characters of [A-Za-z0-9] from the system's random source; fit for secrets.
std::string random_token(std::size_t length);

}  // namespace gateway

template <>
struct std::hash<gateway::Uuid> {
  std::size_t operator()(const gateway::Uuid& id) const noexcept {
    std::uint64_t low;
    std::uint64_t high;
    std::memcpy(&low, id.bytes.data(), 8);
    std::memcpy(&high, id.bytes.data() + 8, 8);
    // Ids may come from clients and be sequential: mix, do not trust their randomness.
    return static_cast<std::size_t>((low ^ (high * 0x9E3779B97F4A7C15ULL)) * 0xD6E8FEB86659FD93ULL >> 7);
  }
};
