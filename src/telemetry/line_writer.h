#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <ctime>
#include <string_view>

#include "base/clock.h"

/// Pieces that log lines are put together from. They write at `out`, where there must be room, and return
/// the end of what they wrote.
namespace gateway::telemetry::line {

/// The most bytes one byte of text becomes.
inline constexpr std::size_t worst_plain = 4;  // \xXX
inline constexpr std::size_t worst_json = 6;   // \u00XX, or \ufffd for a byte that is no UTF-8

inline char* text(char* out, std::string_view bytes) noexcept {
  if (!bytes.empty()) std::memcpy(out, bytes.data(), bytes.size());
  return out + bytes.size();
}

template <class Integer>
char* number(char* out, Integer value) noexcept {
  return std::to_chars(out, out + 20, value).ptr;
}

/// As nginx does in its logs: quotes, backslashes and everything that is not printable ASCII as \xXX.
char* escaped(char* out, std::string_view bytes) noexcept;
/// Control characters only, as \xXX: for messages of our own, which are read by people.
char* one_line(char* out, std::string_view bytes) noexcept;
/// The inside of a JSON string: always valid UTF-8.
char* json(char* out, std::string_view bytes) noexcept;

/// `,"key":"value"`; nothing when the value is empty.
char* member(char* out, std::string_view key, std::string_view value) noexcept;

/// `,"key":12`
template <class Integer>
char* number_member(char* out, std::string_view key, Integer value) noexcept {
  out = text(out, ",\"");
  out = text(out, key);
  out = text(out, "\":");
  return number(out, value);
}

/// Dates in words, made once a second per thread.
struct TimeText {
  std::time_t second = -1;
  std::array<char, 32> access{};  ///< "02/Jan/2026:03:04:05 +0100"
  std::array<char, 24> error{};   ///< "2026/01/02 03:04:05"
  std::array<char, 24> iso{};     ///< "2026-01-02T02:04:05", UTC
};
const TimeText& time_text(System::time_point time) noexcept;

/// "2026-01-02T02:04:05.678Z"
char* iso_time(char* out, System::time_point time) noexcept;

}  // namespace gateway::telemetry::line
