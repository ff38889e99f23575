#include "router/upstream_path.h"

#include <algorithm>
#include <array>

namespace gateway::router {
namespace {

/// The result as up to three pieces, so that it is written once, or not at all.
struct Pieces {
  std::string_view base;
  std::string_view between;
  std::string_view rest;
};

std::string_view without_first_slash(std::string_view path) noexcept { return path.starts_with('/') ? path.substr(1) : path; }

std::string_view without_last_slash(std::string_view path) noexcept { return path.ends_with('/') ? path.substr(0, path.size() - 1) : path; }

// Taking off a prefix may leave dot segments that were not segments before: "/route" off "/route../x".
std::string_view clean(std::string_view rest) noexcept {
  if (rest == "." || rest == "..") return {};
  if (rest.starts_with("../")) return rest.substr(3);
  if (rest.starts_with("./")) return rest.substr(2);
  return rest;
}

Pieces v0(std::string_view base, std::string_view path, bool strip, std::string_view rest) noexcept {
  if (base.ends_with('/')) {
    if (!strip) return {base, {}, without_first_slash(path)};
    if (rest.empty()) return {base == "/" || path.ends_with('/') ? base : without_last_slash(base), {}, {}};
    if (rest.starts_with('/')) return {without_last_slash(base), {}, rest};
    return {base, {}, rest};
  }
  if (!strip) return path == "/" ? Pieces{base, {}, {}} : Pieces{base, {}, path};
  if (rest.empty()) return {base, path.size() > 1 && path.ends_with('/') ? "/" : "", {}};
  if (rest.starts_with('/')) return {base, {}, rest};
  return {base, "/", rest};
}

Pieces v1(std::string_view base, std::string_view path, bool strip, std::string_view rest) noexcept {
  if (!strip) return {base, {}, without_first_slash(path)};
  if (base.ends_with('/')) rest = without_first_slash(rest);
  return {base, {}, rest};
}

// RFC 3986 characters and '%', which in a normalised path only begins an escape.
constexpr std::array<bool, 256> may_stay = [] {
  std::array<bool, 256> table{};
  for (unsigned c = '0'; c <= '9'; ++c) table[c] = true;
  for (unsigned c = 'a'; c <= 'z'; ++c) table[c] = table[c - 32] = true;
  for (const char c : std::string_view("!#$&'()*+,/:;=?@[]-._~%")) table[static_cast<unsigned char>(c)] = true;
  return table;
}();

std::size_t escaped_size(std::string_view text) noexcept {
  std::size_t size = 0;
  for (const char c : text) size += may_stay[static_cast<unsigned char>(c)] ? 1 : 3;
  return size;
}

char* escape(std::string_view text, char* out) noexcept {
  constexpr std::string_view digits = "0123456789ABCDEF";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (may_stay[byte]) {
      *out++ = c;
      continue;
    }
    *out++ = '%';
    *out++ = digits[byte >> 4];
    *out++ = digits[byte & 15];
  }
  return out;
}

std::string_view join(const Pieces& pieces, std::string_view path, http::Arena& arena) {
  const std::size_t size = escaped_size(pieces.base) + escaped_size(pieces.between) + escaped_size(pieces.rest);
  // The usual gateway passes paths on as they are: "/" before a path without its "/".
  if (pieces.base == "/" && pieces.between.empty() && size == path.size() && path.starts_with('/') && pieces.rest.size() + 1 == path.size()) {
    return path;
  }
  if (pieces.base.empty() && pieces.between.empty() && size == pieces.rest.size()) return pieces.rest;
  char* const text = static_cast<char*>(arena.allocate(std::max<std::size_t>(size, 1), 1));
  char* end = escape(pieces.base, text);
  end = escape(pieces.between, end);
  end = escape(pieces.rest, end);
  return {text, static_cast<std::size_t>(end - text)};
}

}  // namespace

std::string_view upstream_path(std::string_view service_path, const entity::Route& route, std::string_view path, const Match& match, Flavour flavour,
                               http::Arena& arena) {
  const std::string_view base = service_path.empty() ? std::string_view("/") : service_path;
  const bool strip = route.strip_path;
  const std::string_view rest = match.path_matched ? clean(path.substr(std::min(match.matched_path.size(), path.size()))) : without_first_slash(path);
  const bool appends = flavour == Flavour::traditional && route.path_handling == entity::PathHandling::v1;
  return join(appends ? v1(base, path, strip, rest) : v0(base, path, strip, rest), path, arena);
}

}  // namespace gateway::router
