#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace gateway {

/// A value from bytes that need not be aligned, in the machine's own order.
template <class T>
[[nodiscard]] inline T load(const char* at) noexcept {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

/// One to seven bytes as one number: of pieces that may overlap, and so the same for texts of one size only.
[[nodiscard]] inline std::uint64_t load_short(const char* at, std::size_t size) noexcept {
  if (size >= 4) return std::uint64_t{load<std::uint32_t>(at)} << 32 | load<std::uint32_t>(at + size - 4);
  const auto byte = [at](std::size_t i) { return std::uint64_t{static_cast<unsigned char>(at[i])}; };
  return byte(0) << 16 | byte(size / 2) << 8 | byte(size - 1);
}

}  // namespace gateway
