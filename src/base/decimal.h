#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace gateway {

/// Writes a whole number in decimal digits that end before `end`; returns where they begin. At most 20 characters.
/// From the end they need not be counted first, as std::to_chars must.
inline char* write_decimal(char* end, std::uint64_t value) noexcept {
  static constexpr auto pairs = [] {
    std::array<char, 200> digits{};
    for (std::size_t i = 0; i < 100; ++i) {
      digits[2 * i] = static_cast<char>('0' + i / 10);
      digits[2 * i + 1] = static_cast<char>('0' + i % 10);
    }
    return digits;
  }();
  for (; value >= 10; value /= 100) {
    end -= 2;
    std::memcpy(end, &pairs[2 * (value % 100)], 2);
    if (value < 100) return end;
  }
  *--end = static_cast<char>('0' + value);
  return end;
}

}  // namespace gateway
