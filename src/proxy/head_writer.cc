#include "proxy/head_writer.h"

#include <charconv>
#include <cstring>

#include "base/decimal.h"
#include "http/h1/syntax.h"

namespace gateway::proxy {
namespace {

template <std::size_t bytes>
inline void copy_ends(char* out, const char* text, std::size_t size) {
  char first[bytes];
  char last[bytes];
  std::memcpy(first, text, bytes);
  std::memcpy(last, text + size - bytes, bytes);
  std::memcpy(out, first, bytes);
  std::memcpy(out + size - bytes, last, bytes);
}

// Hardly ever: what cuts is kept away from what looks whether to.
[[gnu::noinline]] std::string_view cut(std::string_view value) { return value.substr(0, value.find_first_of(std::string_view("\r\n\0", 3))); }

// Names and values are short, nearly all: their two halves, which may overlap, cost less than a call.
[[gnu::always_inline]] inline char* copy(char* out, std::string_view text) {
  const std::size_t size = text.size();
  if (size > 32) {
    std::memcpy(out, text.data(), size);
  } else if (size >= 16) {
    copy_ends<16>(out, text.data(), size);
  } else if (size >= 8) {
    copy_ends<8>(out, text.data(), size);
  } else if (size >= 4) {
    copy_ends<4>(out, text.data(), size);
  } else if (size > 0) {
    out[0] = text[0];
    out[size / 2] = text[size / 2];
    out[size - 1] = text[size - 1];
  }
  return out + size;
}

// Of what is known while compiling, a store or two.
template <std::size_t bytes>
[[gnu::always_inline]] inline char* copy(char* out, const char (&text)[bytes]) {
  std::memcpy(out, text, bytes - 1);
  return out + bytes - 1;
}

std::size_t size_of(const http::Headers& headers) {
  std::size_t size = 2;
  for (const http::Header& header : headers) size += header.name.size() + header.value.size() + 4;
  return size;
}

char* write_headers(char* at, const http::Headers& headers) {
  for (const http::Header& header : headers) {
    at = copy(at, header.name);
    at = copy(at, ": ");
    at = copy(at, header.checked ? header.value : one_line(header.value));
    at = copy(at, "\r\n");
  }
  return copy(at, "\r\n");
}

// Measured first and written in one go: an append per piece would check for room each time.
template <class Write>
std::string_view write(http::Arena& arena, std::size_t at_most, Write&& pieces) {
  char* const begin = static_cast<char*>(arena.allocate(at_most, 1));
  const char* const end = pieces(begin);
  return {begin, static_cast<std::size_t>(end - begin)};
}

}  // namespace

std::string_view one_line(std::string_view value) { return http::h1::is_field_value(value) ? value : cut(value); }

std::string_view write_response_head(http::Arena& arena, unsigned status, std::string_view reason, const http::Headers& headers, std::string_view body) {
  constexpr std::size_t most_beside = 16;  // version, status, spaces and the end of the line
  return write(arena, most_beside + reason.size() + size_of(headers) + body.size(), [&](char* at) {
    at = copy(at, "HTTP/1.1 ");
    *at++ = static_cast<char>('0' + status / 100 % 10);
    *at++ = static_cast<char>('0' + status / 10 % 10);
    *at++ = static_cast<char>('0' + status % 10);
    *at++ = ' ';
    at = copy(at, one_line(reason));
    at = copy(at, "\r\n");
    at = write_headers(at, headers);
    return copy(at, body);
  });
}

std::string_view write_request_head(http::Arena& arena, std::string_view method, std::string_view path, std::string_view query, bool mark,
                                    const http::Headers& headers) {
  constexpr std::size_t most_beside = 16;  // spaces, '?', version and the end of the line
  return write(arena, most_beside + method.size() + path.size() + query.size() + size_of(headers), [&](char* at) {
    at = copy(at, method);
    *at++ = ' ';
    at = copy(at, path);
    if (mark) {
      *at++ = '?';
      at = copy(at, query);
    }
    at = copy(at, " HTTP/1.1\r\n");
    return write_headers(at, headers);
  });
}

std::string_view write_chunk_size(char* out, std::size_t bytes) noexcept {
  char* end = std::to_chars(out, out + 16, bytes, 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  return {out, static_cast<std::size_t>(end - out)};
}

std::string_view number(http::Arena& arena, std::int64_t value) {
  constexpr std::size_t most = 20;  // a sign and digits
  char* const end = static_cast<char*>(arena.allocate(most, 1)) + most;
  char* at = write_decimal(end, value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value));
  if (value < 0) *--at = '-';
  return {at, static_cast<std::size_t>(end - at)};
}

std::string_view join(http::Arena& arena, std::initializer_list<std::string_view> parts) {
  std::size_t size = 0;
  for (const std::string_view part : parts) size += part.size();
  auto* text = static_cast<char*>(arena.allocate(size + 1, 1));
  char* at = text;
  for (const std::string_view part : parts) at = copy(at, part);
  return {text, size};
}

}  // namespace gateway::proxy
