#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

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
  const auto put = [&end](std::size_t pair) {
    end -= 2;
    std::memcpy(end, &pairs[2 * pair], 2);
  };
  for (; value > std::numeric_limits<std::uint32_t>::max(); value /= 100) put(value % 100);
  auto rest = static_cast<std::uint32_t>(value);  // divided in half the time
  for (; rest >= 100; rest /= 100) put(rest % 100);
  if (rest >= 10) {
    put(rest);
  } else {
    *--end = static_cast<char>('0' + rest);
  }
  return end;
}

}  // namespace gateway
