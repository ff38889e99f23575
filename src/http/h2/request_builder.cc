#include "http/h2/request_builder.h"

#include <algorithm>

#include "http/h1/request_parser.h"
#include "http/h1/syntax.h"

namespace gateway::http::h2 {
namespace {

// What a field costs besides its bytes (RFC 9113, 6.5.2).
constexpr std::size_t bytes_per_field = 32;

bool is_target(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) > 0x20 && c != 0x7F && c != '#'; });
}

}  // namespace

unsigned RequestBuilder::fail(unsigned status, std::string_view reason) noexcept {
  if (status_ == 0) {
    status_ = status;
    reason_ = reason;
  }
  return status_;
}

void RequestBuilder::add(std::string_view name, std::string_view value) {
  bytes_ += name.size() + value.size();
  if (bytes_ + count_ * bytes_per_field > limits_.max_head_bytes) {
    fail(431, "a head that is too large");
    return;
  }
  if (!name.empty() && name.front() == ':') {
    pseudo(name, head_.headers.keep(value));
    return;
  }
  if (++count_ > limits_.max_headers) {
    fail(431, "too many headers");
    return;
  }
  const Name id = classify(name);
  if (!limits_.allow_underscores && id == Name::other && name.find('_') != std::string_view::npos) return;
  if (name == "cookie") ++cookies_;
  const std::string_view trimmed = h1::trim(value);
  if (!h1::is_field_value(trimmed) || !h1::is_token(name)) {
    fail(400, "a malformed header");
    return;
  }
  head_.headers.add(Header{id == Name::other ? head_.headers.keep(name) : spelling(id), head_.headers.keep(trimmed), id, false, true});
}

bool RequestBuilder::pseudo(std::string_view name, std::string_view value) {
  if (name == ":method") {
    head_.method = value;
  } else if (name == ":path") {
    head_.target = value;
  } else if (name == ":authority") {
    head_.authority = value;
  } else if (name == ":protocol") {
    protocol_ = value;
  }
  return true;
}

unsigned RequestBuilder::finish(bool ends) {
  head_.version = Version::http_2;
  head_.keep_alive = true;
  if (status_ != 0) return status_;
  if (const unsigned refused = target(); refused != 0) return refused;
  if (cookies_ > 1) join_cookies();
  return meaning(ends);
}

unsigned RequestBuilder::target() {
  if (!h1::is_token(head_.method)) return fail(400, "a malformed method");
  const std::string_view text = head_.target;
  if (head_.method == "CONNECT") {
    if (protocol_ != "websocket") return fail(405, "CONNECT, or a protocol other than websocket");
    head_.upgrade_websocket = true;
    // To the line behind, and to an upstream that speaks HTTP/1.1, it is what it stands for.
    head_.method = "GET";
  } else if (!protocol_.empty()) {
    return fail(400, "a protocol without CONNECT");
  }
  if (text.size() > limits_.max_target_bytes) return fail(414, "a target that is too long");
  if (!is_target(text) || text.empty()) return fail(400, "a malformed target");
  if (text == "*" ? head_.method != "OPTIONS" : text.front() != '/') return fail(400, "a target that is no path");
  const std::size_t mark = text.find('?');
  head_.path = text.substr(0, mark);
  head_.has_query = mark != std::string_view::npos;
  head_.query = head_.has_query ? text.substr(mark + 1) : std::string_view{};
  if (head_.path.find("%00") != std::string_view::npos) return fail(400, "an escaped NUL in the path");
  return 0;
}

// RFC 9113, 8.2.3: crumbs become one header again for those who know of none.
void RequestBuilder::join_cookies() {
  std::string whole;
  for (const Header& header : head_.headers) {
    if (!equals_ignoring_case(header.name, "cookie")) continue;
    if (!whole.empty()) whole += "; ";
    whole += header.value;
  }
  head_.headers.set("cookie", head_.headers.keep(whole));
}

unsigned RequestBuilder::meaning(bool ends) {
  const Header* host = head_.headers.find(Name::host);
  if (host != nullptr && head_.headers.count("Host") > 1) return fail(400, "more than one Host");
  if (host != nullptr && head_.authority.empty()) head_.authority = host->value;
  if (host != nullptr && !equals_ignoring_case(host->value, head_.authority)) return fail(400, "a Host that is not the authority");
  if (head_.authority.empty()) return fail(400, "no authority");
  if (!h1::is_authority(head_.authority)) return fail(400, "a malformed authority");
  head_.headers.set(Name::host, head_.authority);

  head_.framing = {};
  const std::size_t lengths = head_.headers.count("Content-Length");
  if (lengths > 1) return fail(400, "more than one Content-Length");
  if (head_.upgrade_websocket) {
    if (ends) return fail(400, "CONNECT that ends at once");
    if (lengths > 0) return fail(400, "CONNECT with a Content-Length");
  } else if (lengths == 1) {
    if (!h1::parse_content_length(head_.headers.value(Name::content_length), head_.framing.length)) return fail(400, "a malformed Content-Length");
    head_.framing.kind = Framing::Kind::length;
  } else if (!ends) {
    head_.framing.kind = Framing::Kind::chunked;  // of a length that shows at its end
  }
  if (const Header* expect = head_.headers.find(Name::expect); expect != nullptr) {
    if (!equals_ignoring_case(expect->value, "100-continue")) return fail(417, "an unknown expectation");
    head_.expects_continue = !ends;
  }
  return 0;
}

}  // namespace gateway::http::h2
