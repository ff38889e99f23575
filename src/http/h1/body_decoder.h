#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "http/message.h"

namespace gateway::http::h1 {

/// Takes a body of known framing out of a stream of bytes, without copying it.
///
/// Chunks are read strictly (RFC 9112, 7.1): hexadecimal digits alone, CRLF alone, extensions and trailers
/// within limits. A copy goes on independently from the same place.
class BodyDecoder {
 public:
  enum class State {
    need_more,  ///< all input was used, the body goes on
    data,       ///< `payload` is the next piece; there may be more in the input
    done,       ///< the body has ended, `payload` being its last piece (maybe empty)
    malformed,
  };
  struct Fed {
    std::size_t consumed = 0;  ///< of the input, `payload` included
    std::string_view payload;  ///< part of the input
    State state = State::need_more;
  };

  /// For Framing::Kind length or chunked. Trailer fields that are safe to pass on are added to `trailers`.
  BodyDecoder(const Framing& framing, Headers* trailers);

  Fed feed(std::string_view input);

  /// As feed, but goes on to what the input holds behind a small piece and joins the payloads in place: who sends tiny
  /// chunks must not make us write each of them on its own. An end that is there already comes with the last payload.
  Fed gather(char* input, std::size_t size);

 private:
  enum class Step : std::uint8_t { length, size_first, size, extension, size_feed, data, data_return, data_feed, trailer, trailer_feed, end, broken };

  bool framing_byte(char c);
  bool trailer_line();

  Step step_;
  std::uint64_t left_ = 0;  // of the length, or of the chunk
  unsigned digits_ = 0;
  std::size_t framing_bytes_ = 0;  // extensions and trailers so far
  std::string line_;               // of the trailer section
  Headers* trailers_;
};

}  // namespace gateway::http::h1
