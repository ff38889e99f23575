#pragma once

#include <cstring>

namespace gateway {

/// A value from bytes that need not be aligned, in the machine's own order.
template <class T>
[[nodiscard]] inline T load(const char* at) noexcept {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

}  // namespace gateway
