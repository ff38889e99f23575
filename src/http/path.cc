#include "http/path.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace gateway::http {
namespace {

enum : std::uint8_t { plain = 1, reserved = 2, escape = 4 };

// What may stand in a path as it is: unreserved and reserved characters (RFC 3986, 2.2 and 2.3).
constexpr std::array<std::uint8_t, 256> kinds = [] {
  std::array<std::uint8_t, 256> table{};
  for (std::size_t c = '0'; c <= '9'; ++c) table[c] = plain;
  for (std::size_t c = 'a'; c <= 'z'; ++c) table[c] = plain;
  for (std::size_t c = 'A'; c <= 'Z'; ++c) table[c] = plain;
  for (const char c : {'-', '.', '_', '~'}) table[static_cast<unsigned char>(c)] = plain;
  for (const char c : {'!', '*', '\'', '(', ')', ';', ':', '@', '&', '=', '+', '$', ',', '/', '?', '#', '[', ']'}) {
    table[static_cast<unsigned char>(c)] = reserved;
  }
  table['%'] = escape;
  return table;
}();

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_normal(std::string_view path) {
  char before = 0;
  for (const char c : path) {
    const std::uint8_t kind = kinds[static_cast<unsigned char>(c)];
    if (kind == 0 || kind == escape) return false;
    // "//", "/." may be the beginning of something to resolve.
    if (before == '/' && (c == '/' || c == '.')) return false;
    before = c;
  }
  return !path.empty() && path.front() == '/';
}

// Escapes undone where that changes nothing, and made where they are missing. `out` has room for three
// times the input.
std::size_t recode(std::string_view path, char* out) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::size_t size = 0;
  // Resolving in place counts on a slash before every segment.
  if (!path.starts_with('/')) out[size++] = '/';
  const auto escaped = [&](unsigned char byte) {
    out[size++] = '%';
    out[size++] = digits[byte >> 4];
    out[size++] = digits[byte & 0x0F];
  };
  for (std::size_t i = 0; i < path.size(); ++i) {
    const auto byte = static_cast<unsigned char>(path[i]);
    if (byte == '%') {
      const int high = i + 2 < path.size() ? hex_value(path[i + 1]) : -1;
      const int low = i + 2 < path.size() ? hex_value(path[i + 2]) : -1;
      if (high < 0 || low < 0) {
        escaped('%');
        continue;
      }
      const auto value = static_cast<unsigned char>(high << 4 | low);
      i += 2;
      if (kinds[value] == plain) {
        out[size++] = static_cast<char>(value);
      } else {
        escaped(value);
      }
    } else if (kinds[byte] != 0) {
      out[size++] = path[i];
    } else {
      escaped(byte);
    }
  }
  return size;
}

// RFC 3986, 5.2.4, with empty segments merged. In place: what is written never overtakes what is read.
std::size_t resolve(char* text, std::size_t size) {
  std::size_t out = 0;
  bool open = true;  // the path ends in a slash
  for (std::size_t at = 0; at < size;) {
    while (at < size && text[at] == '/') ++at;
    std::size_t end = at;
    while (end < size && text[end] != '/') ++end;
    const std::string_view segment(text + at, end - at);
    open = segment.empty() || segment == "." || segment == "..";
    if (segment == "..") {
      while (out > 0 && text[--out] != '/') continue;
    } else if (!open) {
      text[out++] = '/';
      std::memmove(text + out, segment.data(), segment.size());
      out += segment.size();
      open = end < size && end + 1 == size;
    }
    at = end;
  }
  if (open || out == 0) text[out++] = '/';
  return out;
}

}  // namespace

std::string_view normalise(std::string_view raw, Arena& arena) {
  if (is_normal(raw)) return raw;
  auto* out = static_cast<char*>(arena.allocate(raw.size() * 3 + 2, 1));
  const std::size_t size = recode(raw, out);
  return {out, resolve(out, size)};
}

std::string normalised(std::string_view raw) {
  std::string out(raw.size() * 3 + 2, '\0');
  const std::size_t size = recode(raw, out.data());
  out.resize(resolve(out.data(), size));
  return out;
}

}  // namespace gateway::http
