#include "telemetry/line_writer.h"

#include <cstdint>

namespace gateway::telemetry::line {
namespace {

constexpr std::string_view upper_digits = "0123456789ABCDEF";

char* hex_escape(char* out, unsigned char byte) noexcept {
  *out++ = '\\';
  *out++ = 'x';
  *out++ = upper_digits[byte >> 4];
  *out++ = upper_digits[byte & 15];
  return out;
}

/// Length of the well-formed UTF-8 sequence at the start, 0 if there is none.
std::size_t utf8_length(std::string_view bytes) noexcept {
  const auto at = [bytes](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char first = at(0);
  std::size_t length = 0;
  // Bounds of the second byte, which keep out overlong forms, surrogates and what lies beyond U+10FFFF.
  unsigned char low = 0x80;
  unsigned char high = 0xbf;
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) {
    length = 2;
  } else if (first >= 0xe0 && first <= 0xef) {
    length = 3;
    if (first == 0xe0) low = 0xa0;
    if (first == 0xed) high = 0x9f;
  } else if (first >= 0xf0 && first <= 0xf4) {
    length = 4;
    if (first == 0xf0) low = 0x90;
    if (first == 0xf4) high = 0x8f;
  }
  if (length == 0 || bytes.size() < length || at(1) < low || at(1) > high) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if ((at(i) & 0xc0U) != 0x80) return 0;
  }
  return length;
}

}  // namespace

char* escaped(char* out, std::string_view bytes) noexcept {
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f || c == '"' || c == '\\') {
      out = hex_escape(out, byte);
    } else {
      *out++ = c;
    }
  }
  return out;
}

char* one_line(char* out, std::string_view bytes) noexcept {
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t') || byte == 0x7f) {
      out = hex_escape(out, byte);
    } else {
      *out++ = c;
    }
  }
  return out;
}

char* json(char* out, std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    const auto byte = static_cast<unsigned char>(bytes.front());
    std::size_t length = 1;
    if (byte == '"' || byte == '\\') {
      *out++ = '\\';
      *out++ = bytes.front();
    } else if (byte < 0x20 || byte == 0x7f) {
      out = text(out, "\\u00");
      *out++ = upper_digits[byte >> 4];
      *out++ = upper_digits[byte & 15];
    } else if (byte < 0x80) {
      *out++ = bytes.front();
    } else if (const std::size_t whole = utf8_length(bytes)) {
      out = text(out, bytes.substr(0, whole));
      length = whole;
    } else {
      out = text(out, "\\ufffd");
    }
    bytes.remove_prefix(length);
  }
  return out;
}

char* member(char* out, std::string_view key, std::string_view value) noexcept {
  if (value.empty()) return out;
  out = text(out, ",\"");
  out = text(out, key);
  out = text(out, "\":\"");
  out = json(out, value);
  *out++ = '"';
  return out;
}

const TimeText& time_text(System::time_point time) noexcept {
  thread_local TimeText cached;
  const std::time_t second = std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
  if (cached.second == second) return cached;
  std::tm parts{};
  localtime_r(&second, &parts);
  // Not strftime's %b: that follows the locale.
  constexpr std::array months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::array<char, 32> with_hole{};
  std::strftime(with_hole.data(), with_hole.size(), "%d/Mon/%Y:%H:%M:%S %z", &parts);
  std::memcpy(with_hole.data() + 3, months[static_cast<std::size_t>(parts.tm_mon)], 3);
  cached.access = with_hole;
  std::strftime(cached.error.data(), cached.error.size(), "%Y/%m/%d %H:%M:%S", &parts);
  gmtime_r(&second, &parts);
  std::strftime(cached.iso.data(), cached.iso.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  cached.second = second;
  return cached;
}

char* iso_time(char* out, System::time_point time) noexcept {
  const auto since = time.time_since_epoch();
  const auto second = std::chrono::floor<std::chrono::seconds>(since);
  const auto ms = static_cast<unsigned>(std::chrono::floor<std::chrono::milliseconds>(since - second).count());
  out = text(out, time_text(time).iso.data());
  *out++ = '.';
  *out++ = static_cast<char>('0' + ms / 100);
  *out++ = static_cast<char>('0' + ms / 10 % 10);
  *out++ = static_cast<char>('0' + ms % 10);
  *out++ = 'Z';
  return out;
}

}  // namespace gateway::telemetry::line
