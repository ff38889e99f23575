#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace gateway {

// Names in protocols ignore the case of ASCII's letters and of no others, whatever the locale says.

[[nodiscard]] constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

[[nodiscard]] inline std::string lower_case(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

/// Written to `into`, which has room for it.
inline std::string_view lower_case(std::string_view text, char* into) noexcept {
  std::transform(text.begin(), text.end(), into, lower);
  return {into, text.size()};
}

}  // namespace gateway
