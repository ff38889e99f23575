#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>

#include "base/load.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace gateway {

/// Sixteen bytes looked at in one go, in whatever register the machine has for
/// that.
using Sixteen = unsigned char __attribute__((vector_size(16)));

/// Bit i for byte i of a comparison's result, whose bytes are 0 or 255 each.
[[nodiscard]] inline unsigned bits(Sixteen truths) noexcept {
#if defined(__SSE2__)
  return static_cast<unsigned>(_mm_movemask_epi8(reinterpret_cast<__m128i>(truths)));
#else
  unsigned found = 0;
  for (unsigned i = 0; i < 16; ++i) found |= (truths[i] & 1U) << i;
  return found;
#endif
}

/// Of up to sixteen bytes of `text` from `at` on, those that are as `test`
/// says: bit i for the byte at `at` + i. What lies beside the text is not read.
template <class Test>
[[nodiscard]] inline unsigned where(std::string_view text, std::size_t at, Test&& test) noexcept {
  const std::size_t left = text.size() - at;
  if (left >= 16) return bits(test(load<Sixteen>(text.data() + at)));
  // The last ones: together with some that are known already.
  if (text.size() >= 16) return bits(test(load<Sixteen>(text.data() + text.size() - 16))) >> (16 - left);
  Sixteen few{};
  std::memcpy(&few, text.data() + at, left);
  return bits(test(few)) & ((1U << left) - 1);
}

}  // namespace gateway
