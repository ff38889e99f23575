#pragma once

#include <string>
#include <string_view>

#include "http/h1/limits.h"
#include "http/message.h"

namespace gateway::http::h2 {

/// Turns the fields of an HTTP/2 request into the head that all versions share, within the same limits.
///
/// Source: RFC 9113, 8.3 (pseudo-header fields), 8.2.3 (cookies), RFC 8441 (extended CONNECT). What nghttp2 refuses by
/// itself (capital letters, connection headers, pseudo fields twice or late) does not come here.
class RequestBuilder {
 public:
  RequestBuilder(RequestHead& head, const h1::Limits& limits) noexcept : head_(head), limits_(limits) {}

  /// Copies both into the head's arena. What is too much is left out, and finish() tells.
  void add(std::string_view name, std::string_view value);
  /// After the last field. `ends`: no body follows. The status to refuse with, 0 for none.
  unsigned finish(bool ends);
  [[nodiscard]] std::string_view reason() const noexcept { return reason_; }  ///< for the log
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }         ///< of names and values

 private:
  unsigned fail(unsigned status, std::string_view reason) noexcept;
  bool pseudo(std::string_view name, std::string_view value);
  unsigned target();
  unsigned meaning(bool ends);
  void join_cookies();

  RequestHead& head_;
  const h1::Limits& limits_;
  std::string_view protocol_;  // of an extended CONNECT
  std::string_view reason_;
  std::size_t bytes_ = 0;
  std::size_t count_ = 0;
  std::size_t cookies_ = 0;
  unsigned status_ = 0;
};

}  // namespace gateway::http::h2
