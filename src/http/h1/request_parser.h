#pragma once

#include <string_view>

#include "http/h1/limits.h"
#include "http/h1/syntax.h"
#include "http/message.h"

namespace gateway::http::h1 {

/// Turns bytes into a request head, strictly: whatever two parsers could read in two ways is refused.
///
/// Call parse() with all bytes so far as they come. The head's views point into the buffer of the call that
/// returned `complete`.
/// Source: RFC 9112; where it leaves a choice, the safe one.
class RequestParser {
 public:
  explicit RequestParser(const Limits& limits) noexcept : limits_(limits) {}

  HeadState parse(std::string_view buffer, RequestHead& head);

  [[nodiscard]] std::size_t consumed() const noexcept { return consumed_; }
  /// Of a failure: 400, 405, 414, 417, 431 or 505.
  [[nodiscard]] unsigned status() const noexcept { return status_; }
  [[nodiscard]] std::string_view reason() const noexcept { return reason_; }  ///< for the log
  /// Of a failure: the first line names a protocol, if a wrong one.
  [[nodiscard]] bool is_http() const noexcept { return is_http_; }
  void reset() noexcept { scanner_.reset(); }

 private:
  HeadState fail(unsigned status, std::string_view reason) noexcept;
  bool take_apart(std::string_view buffer, RequestHead& head);
  static void forget(RequestHead& head) noexcept;
  bool request_line(std::string_view line, RequestHead& head);
  bool target(std::string_view line, std::size_t begin, std::size_t end, RequestHead& head);
  bool meaning(RequestHead& head);
  bool framing(const Header* length, const Header* coding, RequestHead& head);

  const Limits& limits_;
  HeadScanner scanner_;
  std::size_t consumed_ = 0;
  unsigned status_ = 0;
  bool is_http_ = true;
  std::string_view reason_;
};

/// host[:port] as a Host header or an absolute target may carry it (RFC 3986, 3.2.2, without user
/// information). The empty string is valid.
[[nodiscard]] bool is_authority(std::string_view text) noexcept;

}  // namespace gateway::http::h1
