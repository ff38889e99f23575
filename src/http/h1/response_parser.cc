#include "http/h1/response_parser.h"

namespace gateway::http::h1 {
namespace {

constexpr std::size_t max_headers = 1000;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

HeadState ResponseParser::parse(std::string_view buffer, ResponseHead& head, std::string_view method) {
  switch (scanner_.scan(buffer)) {
    case HeadScanner::Found::bare_line_feed: return HeadState::failed;
    case HeadScanner::Found::incomplete: return HeadState::incomplete;
    case HeadScanner::Found::end: break;
  }
  const std::string_view text = buffer.substr(0, scanner_.length());
  const std::size_t end = text.find("\r\n");
  head.headers.clear();
  const bool good = status_line(text.substr(0, end), head) && headers(text.substr(end + 2), head) && framing(head, method);
  return good ? HeadState::complete : HeadState::failed;
}

bool ResponseParser::status_line(std::string_view line, ResponseHead& head) {
  if (line.size() < 12 || !line.starts_with("HTTP/1.") || !is_digit(line[7]) || line[8] != ' ') return false;
  if (!is_digit(line[9]) || !is_digit(line[10]) || !is_digit(line[11]) || (line.size() > 12 && line[12] != ' ')) return false;
  head.version = line[7] == '0' ? Version::http_1_0 : Version::http_1_1;
  head.status = static_cast<unsigned>((line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0'));
  head.reason = line.size() > 13 ? line.substr(13) : std::string_view{};
  return head.status >= 100 && is_field_value(head.reason);
}

bool ResponseParser::headers(std::string_view lines, ResponseHead& head) {
  std::size_t count = 0;
  head.headers.reserve(16);
  while (lines.size() > 2) {
    const std::size_t feed = lines.find('\n');
    Header header;
    if (!parse_header_line(lines.substr(0, feed - 1), header) || ++count > max_headers) return false;
    head.headers.add(header);
    lines.remove_prefix(feed + 1);
  }
  return true;
}

bool ResponseParser::framing(ResponseHead& head, std::string_view method) {
  head.framing = {};
  const Header* length = nullptr;
  const Header* coding = nullptr;
  bool close = false;
  bool keep_alive = false;
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
      case Name::connection:
        close |= list_contains(header.value, "close");
        keep_alive |= list_contains(header.value, "keep-alive");
        break;
      default: break;
    }
  }
  head.keep_alive = head.version == Version::http_1_1 ? !close : keep_alive && !close;
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
