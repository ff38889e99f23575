#include "http/h1/response_parser.h"

#include <cstring>

namespace gateway::http::h1 {
namespace {

constexpr std::size_t max_headers = 1000;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

HeadState ResponseParser::parse(std::string_view buffer, ResponseHead& head, std::string_view method) {
  // Most heads come whole and are good: nobody need look for their ends first.
  if (scanner_.untouched() && take_apart(buffer, head, method)) return HeadState::complete;
  // Views of what was read so far: it may lie elsewhere when more comes.
  head.headers.clear();
  head.reason = {};
  switch (scanner_.scan(buffer)) {
    case HeadScanner::Found::bare_line_feed: return HeadState::failed;
    case HeadScanner::Found::incomplete: return HeadState::incomplete;
    case HeadScanner::Found::end: break;
  }
  return take_apart(buffer, head, method) ? HeadState::complete : HeadState::failed;
}

// A text that begins with a head.
bool ResponseParser::take_apart(std::string_view text, ResponseHead& head, std::string_view method) {
  // No status line has a control character within.
  const std::size_t end = first_control(text);
  if (text.size() - end < 2 || text[end] != '\r' || text[end + 1] != '\n' || !status_line(text.substr(0, end), head)) return false;
  head.headers.clear();
  head.headers.reserve(24);  // some come with those that are added
  consumed_ = end + 2;
  return parse_header_lines(text, consumed_, max_headers, true, head.headers) == HeaderLines::good && framing(head, method);
}

bool ResponseParser::status_line(std::string_view line, ResponseHead& head) {
  constexpr std::string_view beginning = "HTTP/1.";
  if (line.size() < 12 || std::memcmp(line.data(), beginning.data(), beginning.size()) != 0 || !is_digit(line[7]) || line[8] != ' ') return false;
  if (!is_digit(line[9]) || !is_digit(line[10]) || !is_digit(line[11]) || (line.size() > 12 && line[12] != ' ')) return false;
  head.version = line[7] == '0' ? Version::http_1_0 : Version::http_1_1;
  head.status = static_cast<unsigned>((line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0'));
  head.reason = line.size() > 13 ? line.substr(13) : std::string_view{};
  return head.status >= 100;
}

bool ResponseParser::framing(ResponseHead& head, std::string_view method) {
  head.framing = {};
  const Header* length = nullptr;
  const Header* coding = nullptr;
  ConnectionOptions connection;
  for (const Header& header : head.headers) {
    switch (header.id) {
      case Name::content_length:
        if (length != nullptr) return false;
        length = &header;
        break;
      case Name::transfer_encoding:
        if (coding != nullptr) return false;
        coding = &header;
        break;
      case Name::connection: connection.add(header.value); break;
      default: break;
    }
  }
  head.keep_alive = head.version == Version::http_1_1 ? !connection.close : connection.keep_alive && !connection.close;
  if (length != nullptr) {
    if (!parse_content_length(length->value, head.framing.length)) return false;
    head.framing.kind = Framing::Kind::length;
  }
  if (coding != nullptr) {
    if (!equals_ignoring_case(coding->value, "chunked")) return false;
    // Both: the coding counts, but who sends that may be playing us against somebody: no second answer.
    if (length != nullptr) {
      head.keep_alive = false;
      head.headers.remove(Name::content_length);
    }
    head.framing = {Framing::Kind::chunked, 0};
  }
  const bool never_a_body = head.status < 200 || head.status == 204;
  if (never_a_body && (coding != nullptr || head.framing.length > 0)) head.keep_alive = false;
  if (never_a_body || head.status == 304 || method == "HEAD") {
    head.framing = {};
    return true;
  }
  if (length == nullptr && coding == nullptr) {
    head.framing.kind = Framing::Kind::until_close;
    head.keep_alive = false;
  }
  return true;
}

}  // namespace gateway::http::h1
