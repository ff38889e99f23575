#include "plugin/arguments.h"

namespace gateway::plugin {
namespace {

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The character at `at`, which moves behind it.
char next_character(std::string_view text, std::size_t& at) noexcept {
  const char c = text[at++];
  if (c == '+') return ' ';
  if (c != '%' || at + 1 >= text.size()) return c;
  const int high = hex_value(text[at]);
  const int low = hex_value(text[at + 1]);
  if (high < 0 || low < 0) return c;
  at += 2;
  return static_cast<char>(high << 4 | low);
}

}  // namespace

std::optional<Argument> next_argument(std::string_view& rest) noexcept {
  while (!rest.empty()) {
    Argument argument;
    const std::size_t end = rest.find('&');
    argument.raw = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    if (argument.raw.empty()) continue;
    const std::size_t equals = argument.raw.find('=');
    argument.name = argument.raw.substr(0, equals);
    argument.has_value = equals != std::string_view::npos;
    if (argument.has_value) argument.value = argument.raw.substr(equals + 1);
    return argument;
  }
  return std::nullopt;
}

bool decodes_to(std::string_view encoded, std::string_view plain) noexcept {
  std::size_t at = 0;
  for (const char c : plain) {
    if (at >= encoded.size() || next_character(encoded, at) != c) return false;
  }
  return at == encoded.size();
}

std::string_view decoded(std::string_view encoded, http::Arena& arena) {
  if (encoded.find_first_of("%+") == std::string_view::npos) return encoded;
  auto* out = static_cast<char*>(arena.allocate(encoded.size(), 1));
  std::size_t size = 0;
  for (std::size_t at = 0; at < encoded.size();) out[size++] = next_character(encoded, at);
  return {out, size};
}

std::string_view without_argument(std::string_view query, std::string_view name, http::Arena& arena) {
  auto* out = static_cast<char*>(arena.allocate(query.size() + 1, 1));
  std::size_t size = 0;
  std::string_view rest = query;
  while (const std::optional<Argument> argument = next_argument(rest)) {
    if (decodes_to(argument->name, name)) continue;
    if (size > 0) out[size++] = '&';
    size += argument->raw.copy(out + size, argument->raw.size());
  }
  return {out, size};
}

}  // namespace gateway::plugin
