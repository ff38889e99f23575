#include "http/h1/syntax.h"

#include <array>
#include <bit>
#include <cstdint>

#include "base/sixteen.h"

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

using Words = std::uint64_t __attribute__((vector_size(16)));

constexpr std::uint64_t spaces = 0x2020202020202020;

// Those bytes set that no field value may have: control characters other than the tab (RFC 9110, 5.5).
Sixteen controls(Sixteen bytes) noexcept {
  const Sixteen tabs_aside = bytes | Sixteen(bytes == '\t');
  return Sixteen((tabs_aside < 0x20) | (tabs_aside == 0x7F));
}

bool none(Sixteen bytes) noexcept {
  const auto words = Words(bytes);
  return (words[0] | words[1]) == 0;
}

// Letters, digits and the hyphen: what names are made of, nearly all.
Sixteen usual_in_names(Sixteen bytes) noexcept {
  const Sixteen letters = (bytes | 0x20) - 'a';
  const Sixteen digits = bytes - '0';
  return Sixteen((letters < 26) | (digits < 10) | (bytes == '-'));
}

Sixteen line_feeds(Sixteen bytes) noexcept { return Sixteen(bytes == '\n'); }

std::size_t control_from(std::string_view text, std::size_t at) noexcept {
  for (; at < text.size(); at += 16) {
    if (const unsigned found = where(text, at, controls); found != 0) return at + static_cast<std::size_t>(std::countr_zero(found));
  }
  return text.size();
}

bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }

}  // namespace

std::size_t first_control(std::string_view text) noexcept { return control_from(text, 0); }

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
    return none(controls(Sixteen(words)));
  }
  Sixteen found = controls(load<Sixteen>(data + size - 16));
  for (std::size_t i = 0; i + 16 < size; i += 16) found |= controls(load<Sixteen>(data + i));
  return none(found);
}

std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

HeadScanner::Found HeadScanner::scan(std::string_view buffer) noexcept {
  for (std::size_t at = scanned_; at < buffer.size(); at += 16) {
    for (unsigned feeds = where(buffer, at, line_feeds); feeds != 0; feeds &= feeds - 1) {
      const std::size_t feed = at + static_cast<std::size_t>(std::countr_zero(feeds));
      if (feed == line_ || buffer[feed - 1] != '\r') return Found::bare_line_feed;
      const bool empty = feed - 1 == line_;
      line_ = feed + 1;
      // Empty lines before the first one are skipped (RFC 9112, 2.2).
      if (empty && first_done_) return Found::end;
      if (!empty) first_done_ = true;
    }
  }
  scanned_ = buffer.size();
  return Found::incomplete;
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

HeaderLines parse_header_lines(std::string_view text, std::size_t& at, std::size_t max, bool allow_underscores, Headers& out) {
  const std::size_t size = text.size();
  std::size_t begin = at;  // of a line
  for (std::size_t count = 1; begin < size && text[begin] != '\r'; ++count) {
    // Nearly all names end with the usual characters; where one does not, whatever else a name may have is looked for.
    std::size_t colon = begin + static_cast<std::size_t>(std::countr_zero(~where(text, begin, usual_in_names)));
    const bool unusual = colon >= size || text[colon] != ':';
    if (unusual) {
      while (colon < size && token_table[static_cast<unsigned char>(text[colon])]) ++colon;
      if (colon >= size || text[colon] != ':') return HeaderLines::malformed;
    }
    if (colon == begin) return HeaderLines::malformed;
    std::size_t first = colon + 1;
    while (first < size && is_blank(text[first])) ++first;
    const std::size_t end = control_from(text, first);
    if (size - end < 2 || text[end] != '\r' || text[end + 1] != '\n') return HeaderLines::malformed;
    std::size_t last = end;
    while (last > first && is_blank(text[last - 1])) --last;
    if (count > max) return HeaderLines::too_many;
    const std::string_view name(text.data() + begin, colon - begin);
    begin = end + 2;
    if (unusual && !allow_underscores && name.find('_') != std::string_view::npos) continue;
    out.add({name, {text.data() + first, last - first}, classify(name), false, true});
  }
  if (size - begin < 2 || text[begin + 1] != '\n') return HeaderLines::malformed;
  at = begin + 2;
  return HeaderLines::good;
}

void ConnectionOptions::add(std::string_view list) noexcept {
  if (add_one(list)) return;  // nearly always
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    (void)add_one(trim(list.substr(0, comma)));
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
  }
}

// False: none that is known.
bool ConnectionOptions::add_one(std::string_view option) noexcept {
  bool* const known = equals_ignoring_case(option, "keep-alive") ? &keep_alive
                      : equals_ignoring_case(option, "close")    ? &close
                      : equals_ignoring_case(option, "upgrade")  ? &upgrade
                                                                 : nullptr;
  if (known != nullptr) *known = true;
  return known != nullptr;
}

bool parse_content_length(std::string_view text, std::uint64_t& out) noexcept {
  // Nineteen digits always fit.
  if (text.empty() || text.size() > 19) return false;
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  out = value;
  return true;
}

}  // namespace gateway::http::h1
