#include "http/h1/request_parser.h"

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
bool is_name_character(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' || c == '~' || c == '%' || c == '!' || c == '$' ||
         c == '&' || c == '\'' || c == '*' || c == '+' || c == '=';
}

// Only what may stand in a target; bytes from 0x80 are escaped when they are forwarded.
bool is_target(std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte == 0x7F || c == '#') return false;
  }
  return true;
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
    const std::size_t colon = text.find(':');
    if (colon != std::string_view::npos) port = colon;
    if (port == 0) return false;
    for (const char c : text.substr(0, port)) {
      if (!is_name_character(c)) return false;
    }
  }
  if (port == text.size()) return true;
  return text[port] == ':' && is_port(text.substr(port + 1));
}

HeadState RequestParser::fail(unsigned status, std::string_view reason) noexcept {
  status_ = status;
  reason_ = reason;
  return HeadState::failed;
}

HeadState RequestParser::parse(std::string_view buffer, RequestHead& head) {
  // A TLS client on the plain port never sends a line: do not wait for one.
  if (!buffer.empty() && buffer.front() == 0x16) return fail(400, "TLS on a plain port");
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
  std::string_view text = buffer.substr(0, scanner_.length());
  while (text.starts_with("\r\n")) text.remove_prefix(2);
  const std::size_t end = text.find('\r');
  if (end > limits_.max_target_bytes + 2 * max_method_bytes) return fail(414, "the target is too long");
  if (scanner_.length() > limits_.max_head_bytes) return fail(431, "the head is too large");
  if (text[end + 1] != '\n') return fail(400, "a bare CR in the request line");
  head.headers.clear();
  const bool good = request_line(text.substr(0, end), head) && headers(text.substr(end + 2), head) && meaning(head);
  return good ? HeadState::complete : HeadState::failed;
}

bool RequestParser::request_line(std::string_view line, RequestHead& head) {
  const auto failed = [&](unsigned status, std::string_view reason) { return fail(status, reason), false; };
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return failed(400, "a request line without three parts");
  head.method = line.substr(0, first);
  const std::string_view target_text = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (head.method.size() > max_method_bytes || !is_token(head.method)) return failed(400, "a malformed method");
  if (target_text.size() > limits_.max_target_bytes) return failed(414, "the target is too long");
  is_http_ = version.find('/') != std::string_view::npos;
  if (version.size() != 8 || !version.starts_with("HTTP/") || !is_digit(version[5]) || version[6] != '.' || !is_digit(version[7])) {
    return failed(400, "a malformed version");
  }
  if (head.method == "PRI") return failed(400, "an HTTP/2 preface");
  if (version[5] != '1') return failed(505, "a version that is not HTTP/1");
  head.version = version[7] == '0' ? Version::http_1_0 : Version::http_1_1;
  if (head.method == "CONNECT" || head.method == "TRACE") return failed(405, "CONNECT or TRACE");
  return target(target_text, head);
}

bool RequestParser::target(std::string_view text, RequestHead& head) {
  const auto failed = [&](unsigned status, std::string_view reason) { return fail(status, reason), false; };
  if (!is_target(text)) return failed(400, "a target with a space, a control character or a fragment");
  head.authority = {};
  if (text == "*") {
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
  }
  head.target = text;
  const std::size_t mark = text.find('?');
  head.path = text.substr(0, mark);
  head.has_query = mark != std::string_view::npos;
  head.query = head.has_query ? text.substr(mark + 1) : std::string_view{};
  // No path has a NUL in it but one meant to end early in somebody's C string.
  if (head.path.find("%00") != std::string_view::npos) return failed(400, "an escaped NUL in the path");
  return true;
}

bool RequestParser::headers(std::string_view lines, RequestHead& head) {
  std::size_t count = 0;
  head.headers.reserve(24);
  while (lines.size() > 2) {
    // The scanner has seen that every LF has its CR: the first LF ends the line.
    const std::size_t feed = lines.find('\n');
    Header header;
    if (!parse_header_line(lines.substr(0, feed - 1), header)) return fail(400, "a malformed header line"), false;
    lines.remove_prefix(feed + 1);
    if (++count > limits_.max_headers) return fail(431, "too many headers"), false;
    if (!limits_.allow_underscores && header.id == Name::other && header.name.find('_') != std::string_view::npos) continue;
    head.headers.add(header);
  }
  return true;
}

bool RequestParser::meaning(RequestHead& head) {
  const auto failed = [&](unsigned status, std::string_view reason) { return fail(status, reason), false; };
  const Header* host = nullptr;
  const Header* expect = nullptr;
  bool close = false;
  bool keep_alive = false;
  bool upgrade = false;
  bool websocket = false;
  for (const Header& header : head.headers) {
    switch (header.id) {
      case Name::host:
        if (host != nullptr) return failed(400, "more than one Host");
        host = &header;
        break;
      case Name::connection:
        close |= list_contains(header.value, "close");
        keep_alive |= list_contains(header.value, "keep-alive");
        upgrade |= list_contains(header.value, "upgrade");
        break;
      case Name::upgrade: websocket |= list_contains(header.value, "websocket"); break;
      case Name::expect: expect = &header; break;
      default: break;
    }
  }
  if (host == nullptr && head.version == Version::http_1_1) return failed(400, "no Host");
  if (host != nullptr) {
    if (!is_authority(host->value)) return failed(400, "a malformed Host");
    if (head.authority.empty()) head.authority = host->value;
  }
  head.keep_alive = head.version == Version::http_1_1 ? !close : keep_alive && !close;
  if (!framing(head)) return false;
  // With a body on its way two things would be sent upstream at once.
  const bool has_body = head.framing.kind == Framing::Kind::chunked || head.framing.length > 0;
  head.upgrade_websocket = upgrade && websocket && head.version == Version::http_1_1 && head.method == "GET" && !has_body;
  head.expects_continue = false;
  if (expect != nullptr && head.version == Version::http_1_1) {
    if (!equals_ignoring_case(expect->value, "100-continue")) return failed(417, "an unknown expectation");
    head.expects_continue = head.framing.kind != Framing::Kind::none;
  }
  return true;
}

// RFC 9112, 6.3, without its leniencies.
bool RequestParser::framing(RequestHead& head) {
  const auto failed = [&](unsigned status, std::string_view reason) { return fail(status, reason), false; };
  head.framing = {};
  const Header* length = nullptr;
  const Header* coding = nullptr;
  for (const Header& header : head.headers) {
    if (header.id == Name::content_length) {
      if (length != nullptr) return failed(400, "more than one Content-Length");
      length = &header;
    } else if (header.id == Name::transfer_encoding) {
      if (coding != nullptr) return failed(400, "more than one Transfer-Encoding");
      coding = &header;
    }
  }
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
