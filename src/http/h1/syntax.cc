#include "http/h1/syntax.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>

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

}  // namespace

bool is_token(std::string_view text) noexcept {
  for (const char c : text) {
    if (!token_table[static_cast<unsigned char>(c)]) return false;
  }
  return !text.empty();
}

bool is_field_value(std::string_view text) noexcept {
  // Eight bytes at a time: one of them is below 0x20 when its subtraction borrows, and 0x7f when taking one from what
  // differs borrows. Both may raise a false alarm (tabs do), never miss: then each byte is looked at.
  const auto suspicious = [](std::uint64_t word) {
    constexpr std::uint64_t ones = 0x0101010101010101ULL;
    constexpr std::uint64_t tops = 0x8080808080808080ULL;
    const std::uint64_t unlike_delete = word ^ (ones * 0x7F);
    return (((word - ones * 0x20) & ~word) | ((unlike_delete - ones) & ~unlike_delete)) & tops;
  };
  const auto word_at = [&text](std::size_t i) {
    std::uint64_t word;
    std::memcpy(&word, text.data() + i, 8);
    return word;
  };
  if (text.size() >= 8) {
    std::uint64_t found = suspicious(word_at(text.size() - 8));  // overlaps what comes before it
    for (std::size_t i = 0; i + 8 < text.size(); i += 8) found |= suspicious(word_at(i));
    if (found == 0) return true;
  }
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && byte != '\t') || byte == 0x7F) return false;
  }
  return true;
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
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return false;
  out.name = line.substr(0, colon);
  if (!is_token(out.name)) return false;
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
