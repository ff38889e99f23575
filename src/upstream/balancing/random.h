#pragma once

#include <cstdint>
#include <random>

namespace gateway::upstream {

/// 32 bits for choosing among peers: quick, one state per thread, no secret. Source: Marsaglia, "Xorshift RNGs".
[[nodiscard]] inline std::uint32_t random_bits() noexcept {
  thread_local std::uint64_t state = (std::uint64_t{std::random_device{}()} << 32) | std::random_device{}() | 1;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return static_cast<std::uint32_t>(state >> 32);
}

/// From 0 up to, and without, `limit`.
[[nodiscard]] inline std::uint32_t random_below(std::uint32_t limit) noexcept {
  return static_cast<std::uint32_t>((std::uint64_t{random_bits()} * limit) >> 32);
}

}  // namespace gateway::upstream
