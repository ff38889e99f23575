// The payload of a chunked body does not depend on how its bytes are cut, nor on whether its pieces are joined.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "http/h1/body_decoder.h"

using namespace gateway::http;
using h1::BodyDecoder;

namespace {

struct Outcome {
  std::string body;
  BodyDecoder::State state = BodyDecoder::State::need_more;
};

Outcome decode(std::string_view bytes, std::size_t step) {
  Arena arena;
  Headers trailers(arena);
  BodyDecoder decoder({Framing::Kind::chunked, 0}, &trailers);
  Outcome out;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::string_view piece = bytes.substr(at, std::min(step, bytes.size() - at));
    std::size_t used = 0;
    while (used < piece.size()) {
      const BodyDecoder::Fed fed = decoder.feed(piece.substr(used));
      if (fed.consumed > piece.size() - used) std::abort();
      out.body += fed.payload;
      out.state = fed.state;
      used += fed.consumed;
      if (fed.state == BodyDecoder::State::done || fed.state == BodyDecoder::State::malformed) return out;
      if (fed.consumed == 0) std::abort();
    }
    at += piece.size();
  }
  return out;
}

// As the proxy reads: all there is in the buffer, joined in place, the rest moved to its front.
Outcome decode_joined(std::string_view bytes, std::size_t step) {
  Arena arena;
  Headers trailers(arena);
  BodyDecoder decoder({Framing::Kind::chunked, 0}, &trailers);
  Outcome out;
  std::string buffer;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::string_view more = bytes.substr(at, step);
    buffer += more;
    at += more.size();
    for (;;) {
      const BodyDecoder::Fed fed = decoder.gather(buffer.data(), buffer.size());
      if (fed.consumed > buffer.size() || fed.payload.size() > fed.consumed) std::abort();
      out.body += fed.payload;
      out.state = fed.state;
      buffer.erase(0, fed.consumed);
      if (fed.state == BodyDecoder::State::done || fed.state == BodyDecoder::State::malformed) return out;
      if (fed.state == BodyDecoder::State::need_more) break;
    }
    if (!buffer.empty()) std::abort();
  }
  return out;
}

void compare(const Outcome& a, const Outcome& b) {
  if (a.body != b.body) std::abort();
  const bool ended = a.state == BodyDecoder::State::done || a.state == BodyDecoder::State::malformed;
  if (ended && a.state != b.state) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Outcome whole = decode(bytes, size == 0 ? 1 : size);
  compare(whole, decode(bytes, 3));
  compare(whole, decode_joined(bytes, size == 0 ? 1 : size));
  compare(whole, decode_joined(bytes, 7));
  return 0;
}
