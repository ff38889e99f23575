#include "proxy/head_writer.h"

#include <charconv>
#include <cstring>

#include "http/h1/syntax.h"

namespace gateway::proxy {
namespace {

template <std::size_t bytes>
void copy_ends(char* out, std::string_view text) {
  char first[bytes];
  char last[bytes];
  std::memcpy(first, text.data(), bytes);
  std::memcpy(last, text.data() + text.size() - bytes, bytes);
  std::memcpy(out, first, bytes);
  std::memcpy(out + text.size() - bytes, last, bytes);
}

// Names and values are short, nearly all: their two halves, which may overlap, cost less than a call.
char* copy(char* out, std::string_view text) {
  const std::size_t size = text.size();
  if (size > 32) {
    std::memcpy(out, text.data(), size);
  } else if (size >= 16) {
    copy_ends<16>(out, text);
  } else if (size >= 8) {
    copy_ends<8>(out, text);
  } else if (size >= 4) {
    copy_ends<4>(out, text);
  } else {
    for (std::size_t i = 0; i < size; ++i) out[i] = text[i];
  }
  return out + size;
}

// Measured first and written in one go: an append per piece would check for room each time.
void write_headers(Output& out, const http::Headers& headers) {
  std::size_t size = 2;
  for (const http::Header& header : headers) size += header.name.size() + header.value.size() + 4;
  const std::size_t begin = out.size();
  out.resize(begin + size);
  char* at = out.data() + begin;
  for (const http::Header& header : headers) {
    at = copy(at, header.name);
    at = copy(at, ": ");
    at = copy(at, header.checked ? header.value : one_line(header.value));
    at = copy(at, "\r\n");
  }
  at = copy(at, "\r\n");
  out.resize(static_cast<std::size_t>(at - out.data()));
}

}  // namespace

std::string_view one_line(std::string_view value) {
  if (http::h1::is_field_value(value)) return value;
  return value.substr(0, value.find_first_of(std::string_view("\r\n\0", 3)));
}

void write_response_head(Output& out, unsigned status, std::string_view reason, const http::Headers& headers) {
  char code[3] = {static_cast<char>('0' + status / 100 % 10), static_cast<char>('0' + status / 10 % 10), static_cast<char>('0' + status % 10)};
  out += "HTTP/1.1 ";
  out.append(code, 3);
  out += ' ';
  out += one_line(reason);
  out += "\r\n";
  write_headers(out, headers);
}

void write_request_head(Output& out, std::string_view method, std::string_view path, std::string_view query, bool mark, const http::Headers& headers) {
  out += method;
  out += ' ';
  out += path;
  if (mark) {
    out += '?';
    out += query;
  }
  out += " HTTP/1.1\r\n";
  write_headers(out, headers);
}

std::string_view write_chunk_size(char* out, std::size_t bytes) noexcept {
  char* end = std::to_chars(out, out + 16, bytes, 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  return {out, static_cast<std::size_t>(end - out)};
}

std::string_view number(http::Arena& arena, std::int64_t value) {
  auto* digits = static_cast<char*>(arena.allocate(20, 1));
  const auto end = std::to_chars(digits, digits + 20, value).ptr;
  return {digits, static_cast<std::size_t>(end - digits)};
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
