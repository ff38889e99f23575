#include "http/h1/request_parser.h"

#include <array>
#include <bit>
#include <cstring>

#include "base/sixteen.h"

namespace gateway::http::h1 {
namespace {

constexpr std::size_t max_method_bytes = 32;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

bool is_port(std::string_view text) {
  if (text.size() > 5) return false;
  unsigned value = 0;
  for (const char c : text) {
    if (!is_digit(c)) return false;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  return value <= 65535;
}

// RFC 3986 reg-name less the sub-delimiters nobody has in a name and parsers disagree about.
constexpr std::array<bool, 256> may_be_in_a_name = [] {
  std::array<bool, 256> table{};
  for (std::size_t c = '0'; c <= '9'; ++c) table[c] = true;
  for (std::size_t c = 'a'; c <= 'z'; ++c) table[c] = table[c - 32] = true;
  for (const char c : std::string_view("-._~%!$&'*+=")) table[static_cast<unsigned char>(c)] = true;
  return table;
}();

// What a target must not have (bytes from 0x80 are escaped when they are forwarded), or what there is more to say about.
Sixteen notable_in_targets(Sixteen bytes) noexcept { return Sixteen((bytes <= 0x20) | (bytes == 0x7F) | (bytes == '#') | (bytes == '?') | (bytes == '%')); }

template <std::size_t size>
bool is(std::string_view text, const char (&word)[size]) noexcept {
  return text.size() == size - 1 && std::memcmp(text.data(), word, size - 1) == 0;
}

bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && equals_ignoring_case(text.substr(0, prefix.size()), prefix);
}

}  // namespace

bool is_authority(std::string_view text) noexcept {
  if (text.empty()) return true;
  std::size_t port = text.size();
  if (text.front() == '[') {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos || end < 3) return false;
    for (const char c : text.substr(1, end - 1)) {
      if (!is_hex(c) && c != ':' && c != '.') return false;
    }
    port = end + 1;
  } else {
    port = 0;
    while (port < text.size() && may_be_in_a_name[static_cast<unsigned char>(text[port])]) ++port;
    if (port == 0) return false;
  }
  if (port == text.size()) return true;
  return text[port] == ':' && is_port(text.substr(port + 1));
}

HeadState RequestParser::fail(unsigned status, std::string_view reason) noexcept {
  status_ = status;
  reason_ = reason;
  return HeadState::failed;
}

// What has been read of a head that does not end yet may lie elsewhere when more of it comes, or a refusal is logged.
void RequestParser::forget(RequestHead& head) noexcept {
  head.headers.clear();
  head.method = head.target = head.path = head.query = head.authority = {};
  head.has_query = false;
  head.version = Version::http_1_1;
}

HeadState RequestParser::parse(std::string_view buffer, RequestHead& head) {
  // A TLS client on the plain port never sends a line: do not wait for one.
  if (!buffer.empty() && buffer.front() == 0x16) return fail(400, "TLS on a plain port");
  // Most heads come whole and are good: nobody need look for their ends first. What is wrong with others is found in order.
  if (scanner_.untouched() && take_apart(buffer, head)) return HeadState::complete;
  is_http_ = true;
  forget(head);
  switch (scanner_.scan(buffer)) {
    case HeadScanner::Found::bare_line_feed: return fail(400, "a line that does not end in CRLF");
    case HeadScanner::Found::incomplete:
      if (scanner_.in_first_line()) {
        const std::string_view line = buffer.substr(scanner_.open_line());
        if (line.substr(0, max_method_bytes + 1).find(' ') == std::string_view::npos && line.size() > max_method_bytes) {
          return fail(400, "no method");
        }
        if (line.size() > limits_.max_target_bytes + max_method_bytes) return fail(414, "the target is too long");
      }
      if (buffer.size() > limits_.max_head_bytes) return fail(431, "the head is too large");
      return HeadState::incomplete;
    case HeadScanner::Found::end: break;
  }
  return take_apart(buffer.substr(0, scanner_.length()), head) ? HeadState::complete : HeadState::failed;
}

// A text that begins with a head. False, too, where more follows than a head may have, or where it is not all there.
bool RequestParser::take_apart(std::string_view buffer, RequestHead& head) {
  const auto failed = [&](unsigned status, std::string_view reason) { return fail(status, reason), false; };
  std::string_view text = buffer;
  while (text.starts_with("\r\n")) text.remove_prefix(2);
  const std::size_t end = text.find('\r');
  if (end != std::string_view::npos && end > limits_.max_target_bytes + 2 * max_method_bytes) return failed(414, "the target is too long");
  if (buffer.size() > limits_.max_head_bytes) return failed(431, "the head is too large");
  if (end >= text.size() - 1 || text[end + 1] != '\n') return failed(400, "a bare CR in the request line");
  head.headers.clear();
  head.headers.reserve(24);
  std::size_t at = end + 2;
  if (!request_line(text.substr(0, end), head)) return false;
  switch (parse_header_lines(text, at, limits_.max_headers, limits_.allow_underscores, head.headers)) {
    case HeaderLines::malformed: return failed(400, "a malformed header line");
    case HeaderLines::too_many: return failed(431, "too many headers");
    case HeaderLines::good: break;
  }
  consumed_ = buffer.size() - text.size() + at;
  return meaning(head);
}

bool RequestParser::request_line(std::string_view line, RequestHead& head) {
  const auto failed = [&](unsigned status, std::string_view reason) { return fail(status, reason), false; };
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return failed(400, "a request line without three parts");
  head.method = line.substr(0, first);
  const std::string_view version = line.substr(last + 1);
  if (head.method.size() > max_method_bytes || !is_token(head.method)) return failed(400, "a malformed method");
  if (last - first - 1 > limits_.max_target_bytes) return failed(414, "the target is too long");
  const bool usual = version.size() == 8 && std::memcmp(version.data(), "HTTP/", 5) == 0;
  is_http_ = usual || version.find('/') != std::string_view::npos;
  if (!usual || !is_digit(version[5]) || version[6] != '.' || !is_digit(version[7])) return failed(400, "a malformed version");
  if (is(head.method, "PRI")) return failed(400, "an HTTP/2 preface");
  if (version[5] != '1') return failed(505, "a version that is not HTTP/1");
  head.version = version[7] == '0' ? Version::http_1_0 : Version::http_1_1;
  if (is(head.method, "CONNECT") || is(head.method, "TRACE")) return failed(405, "CONNECT or TRACE");
  return target(line, first + 1, last, head);
}

bool RequestParser::target(std::string_view line, std::size_t begin, std::size_t end, RequestHead& head) {
  const auto failed = [&](unsigned status, std::string_view reason) { return fail(status, reason), false; };
  std::string_view text = line.substr(begin, end - begin);
  std::size_t mark = std::string_view::npos;
  bool escapes = false;
  for (std::size_t at = begin; at < end; at += 16) {
    unsigned found = where(line, at, notable_in_targets);
    if (end - at < 16) found &= (1U << (end - at)) - 1;
    for (; found != 0; found &= found - 1) {
      const std::size_t place = at + static_cast<std::size_t>(std::countr_zero(found));
      if (line[place] == '%') {
        escapes = true;
      } else if (line[place] != '?') {
        return failed(400, "a target with a space, a control character or a fragment");
      } else if (mark == std::string_view::npos) {
        mark = place - begin;
      }
    }
  }
  head.authority = {};
  if (is(text, "*")) {
    if (head.method != "OPTIONS") return failed(400, "an asterisk target without OPTIONS");
  } else if (!text.starts_with('/')) {
    // RFC 9112, 3.2.2: the authority of an absolute form goes before Host.
    std::size_t skip = 0;
    if (starts_with_ignoring_case(text, "http://")) skip = 7;
    if (starts_with_ignoring_case(text, "https://")) skip = 8;
    if (skip == 0) return failed(400, "a target that is neither a path nor http");
    text.remove_prefix(skip);
    const std::size_t end = text.find_first_of("/?");
    head.authority = text.substr(0, end);
    if (head.authority.empty() || !is_authority(head.authority)) return failed(400, "a malformed authority");
    text = end == std::string_view::npos ? std::string_view("/") : text.substr(end);
    if (text.front() == '?') {
      // Nothing before '?' stands for "/"; the views cannot say that without memory of their own.
      text = head.headers.keep("/" + std::string(text));
    }
    mark = text.find('?');
  }
  head.target = text;
  head.path = text.substr(0, mark);
  head.has_query = mark != std::string_view::npos;
  head.query = head.has_query ? text.substr(mark + 1) : std::string_view{};
  // No path has a NUL in it but one meant to end early in somebody's C string.
  if (escapes && head.path.find("%00") != std::string_view::npos) return failed(400, "an escaped NUL in the path");
  return true;
}

bool RequestParser::meaning(RequestHead& head) {
  const auto failed = [&](unsigned status, std::string_view reason) { return fail(status, reason), false; };
  const Header* host = nullptr;
  const Header* expect = nullptr;
  const Header* length = nullptr;
  const Header* coding = nullptr;
  ConnectionOptions connection;
  bool websocket = false;
  for (const Header& header : head.headers) {
    switch (header.id) {
      case Name::host:
        if (host != nullptr) return failed(400, "more than one Host");
        host = &header;
        break;
      case Name::connection: connection.add(header.value); break;
      case Name::upgrade: websocket |= list_contains(header.value, "websocket"); break;
      case Name::expect: expect = &header; break;
      case Name::content_length:
        if (length != nullptr) return failed(400, "more than one Content-Length");
        length = &header;
        break;
      case Name::transfer_encoding:
        if (coding != nullptr) return failed(400, "more than one Transfer-Encoding");
        coding = &header;
        break;
      default: break;
    }
  }
  if (host == nullptr && head.version == Version::http_1_1) return failed(400, "no Host");
  if (host != nullptr) {
    if (!is_authority(host->value)) return failed(400, "a malformed Host");
    if (head.authority.empty()) head.authority = host->value;
  }
  head.keep_alive = head.version == Version::http_1_1 ? !connection.close : connection.keep_alive && !connection.close;
  if (!framing(length, coding, head)) return false;
  // With a body on its way two things would be sent upstream at once.
  const bool has_body = head.framing.kind == Framing::Kind::chunked || head.framing.length > 0;
  head.upgrade_websocket = connection.upgrade && websocket && head.version == Version::http_1_1 && head.method == "GET" && !has_body;
  head.expects_continue = false;
  if (expect != nullptr && head.version == Version::http_1_1) {
    if (!equals_ignoring_case(expect->value, "100-continue")) return failed(417, "an unknown expectation");
    head.expects_continue = head.framing.kind != Framing::Kind::none;
  }
  return true;
}

// RFC 9112, 6.3, without its leniencies.
bool RequestParser::framing(const Header* length, const Header* coding, RequestHead& head) {
  const auto failed = [&](unsigned status, std::string_view reason) { return fail(status, reason), false; };
  head.framing = {};
  if (coding != nullptr) {
    if (length != nullptr) return failed(400, "Content-Length with Transfer-Encoding");
    if (head.version == Version::http_1_0) return failed(400, "Transfer-Encoding in HTTP/1.0");
    if (!equals_ignoring_case(coding->value, "chunked")) return failed(400, "a Transfer-Encoding that is not chunked");
    head.framing.kind = Framing::Kind::chunked;
  } else if (length != nullptr) {
    if (!parse_content_length(length->value, head.framing.length)) return failed(400, "a malformed Content-Length");
    head.framing.kind = Framing::Kind::length;
  }
  return true;
}

}  // namespace gateway::http::h1
