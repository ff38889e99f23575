#pragma once

#include <string_view>

#include "http/h1/limits.h"
#include "http/h1/syntax.h"
#include "http/message.h"

namespace gateway::http::h1 {

/// Turns an upstream's bytes into a response head. An upstream is no more trusted than a client: framing
/// that could be read in two ways fails, and the caller answers 502.
///
/// Call parse() with all bytes so far; the head's views point into the buffer of the call that returned
/// `complete`. How large a head may grow is the caller's business. Source: RFC 9112, 4 and 6.3.
class ResponseParser {
 public:
  /// `method`: of the request; an answer to HEAD has no body whatever its headers say.
  HeadState parse(std::string_view buffer, ResponseHead& head, std::string_view method);

  [[nodiscard]] std::size_t consumed() const noexcept { return consumed_; }
  void reset() noexcept { scanner_.reset(); }

 private:
  bool take_apart(std::string_view text, ResponseHead& head, std::string_view method);
  static bool status_line(std::string_view line, ResponseHead& head);
  static bool framing(ResponseHead& head, std::string_view method);

  HeadScanner scanner_;
  std::size_t consumed_ = 0;
};

}  // namespace gateway::http::h1
