#include "http/h1/syntax.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>

#include "base/load.h"

namespace gateway::http::h1 {
namespace {

constexpr std::array<bool, 256> token_table = [] {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (const char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'}) {
    table[static_cast<unsigned char>(c)] = true;
  }
  return table;
}();

// How many characters at the beginning may be part of a token.
std::size_t token_length(std::string_view text) noexcept {
  std::size_t i = 0;
  while (i < text.size() && token_table[static_cast<unsigned char>(text[i])]) ++i;
  return i;
}

using Bytes = unsigned char __attribute__((vector_size(16)));
using Words = std::uint64_t __attribute__((vector_size(16)));

constexpr std::uint64_t spaces = 0x2020202020202020;

// Those bytes set that no field value may have: control characters other than the tab (RFC 9110, 5.5).
Bytes controls(Bytes bytes) noexcept { return Bytes(((bytes < 0x20) & (bytes != '\t')) | (bytes == 0x7F)); }

bool none(Bytes bytes) noexcept {
  const auto words = Words(bytes);
  return (words[0] | words[1]) == 0;
}

}  // namespace

bool is_token(std::string_view text) noexcept { return !text.empty() && token_length(text) == text.size(); }

// In registers of sixteen bytes, whose last one overlaps what came before it: heads are full of short values.
bool is_field_value(std::string_view text) noexcept {
  const char* const data = text.data();
  const std::size_t size = text.size();
  if (size < 4) {
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if ((byte < 0x20 && byte != '\t') || byte == 0x7F) return false;
    }
    return true;
  }
  if (size < 16) {
    const Words words = size < 8 ? Words{load<std::uint32_t>(data) | std::uint64_t{load<std::uint32_t>(data + size - 4)} << 32, spaces}
                                 : Words{load<std::uint64_t>(data), load<std::uint64_t>(data + size - 8)};
    return none(controls(Bytes(words)));
  }
  Bytes found = controls(load<Bytes>(data + size - 16));
  for (std::size_t i = 0; i + 16 < size; i += 16) found |= controls(load<Bytes>(data + i));
  return none(found);
}

std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

HeadScanner::Found HeadScanner::scan(std::string_view buffer) noexcept {
  for (;;) {
    if (scanned_ == buffer.size()) return Found::incomplete;  // which may have no data at all
    const auto* feed = static_cast<const char*>(std::memchr(buffer.data() + scanned_, '\n', buffer.size() - scanned_));
    if (feed == nullptr) {
      scanned_ = buffer.size();
      return Found::incomplete;
    }
    const auto at = static_cast<std::size_t>(feed - buffer.data());
    if (at == 0 || buffer[at - 1] != '\r' || at - 1 < line_) return Found::bare_line_feed;
    const bool empty = at - 1 == line_;
    line_ = scanned_ = at + 1;
    // Empty lines before the first one are skipped (RFC 9112, 2.2).
    if (empty && first_done_) return Found::end;
    if (!empty) first_done_ = true;
  }
}

bool parse_header_line(std::string_view line, Header& out) noexcept {
  const std::size_t colon = token_length(line);
  if (colon == 0 || colon == line.size() || line[colon] != ':') return false;
  out.name = line.substr(0, colon);
  out.value = trim(line.substr(colon + 1));
  if (!is_field_value(out.value)) return false;
  out.checked = true;
  out.id = classify(out.name);
  return true;
}

bool parse_content_length(std::string_view text, std::uint64_t& out) noexcept {
  if (text.empty() || text.size() > 19) return false;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
  }
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), out);
  return parsed.ec == std::errc();
}

}  // namespace gateway::http::h1
