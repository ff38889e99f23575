#pragma once

#include <cstddef>
#include <string_view>

#include "http/headers.h"

namespace gateway::http::h1 {

/// RFC 9110, 5.6.2: what methods and header names are made of.
[[nodiscard]] bool is_token(std::string_view text) noexcept;

/// No control characters but the tab (RFC 9110, 5.5); bytes from 0x80 pass as they are.
[[nodiscard]] bool is_field_value(std::string_view text) noexcept;

[[nodiscard]] std::string_view trim(std::string_view text) noexcept;  ///< spaces and tabs

/// Where a head's lines end: looks at a growing buffer without looking at any byte twice.
class HeadScanner {
 public:
  enum class Found { incomplete, end, bare_line_feed };

  /// Looks on from where the last call stopped. `end`: length() bytes are the head, its empty line included.
  Found scan(std::string_view buffer) noexcept;
  [[nodiscard]] std::size_t length() const noexcept { return line_; }
  /// Where the line that is not complete yet begins.
  [[nodiscard]] std::size_t open_line() const noexcept { return line_; }
  [[nodiscard]] bool untouched() const noexcept { return scanned_ == 0; }  ///< nothing has been looked at yet
  [[nodiscard]] bool in_first_line() const noexcept { return !first_done_; }
  void reset() noexcept { *this = HeadScanner(); }

 private:
  std::size_t line_ = 0;  // start of the line being looked at
  std::size_t scanned_ = 0;
  bool first_done_ = false;
};

/// One header line without its CRLF, taken apart. False: RFC 9112, 5 is broken (no colon, space before it,
/// folded, empty or strange name, control characters).
[[nodiscard]] bool parse_header_line(std::string_view line, Header& out) noexcept;

enum class HeaderLines { good, malformed, too_many };

/// All header lines of a head, taken apart, from `at` on; then that is behind the empty line that ends them. Lines that are
/// not all there are malformed; more than `max` are too many. Those whose names have a '_' are left out unless that is allowed.
[[nodiscard]] HeaderLines parse_header_lines(std::string_view text, std::size_t& at, std::size_t max, bool allow_underscores, Headers& out);

/// Where the first control character but the tab stands; the text's size when there is none.
[[nodiscard]] std::size_t first_control(std::string_view text) noexcept;

/// What a Connection header says that parsers act upon (RFC 9110, 7.6.1). Several are one list.
struct ConnectionOptions {
  bool close = false;
  bool keep_alive = false;
  bool upgrade = false;

  void add(std::string_view list) noexcept;

 private:
  bool add_one(std::string_view option) noexcept;
};

/// A Content-Length as RFC 9110, 8.6 has it: digits alone, and no overflow.
[[nodiscard]] bool parse_content_length(std::string_view text, std::uint64_t& out) noexcept;

}  // namespace gateway::http::h1
