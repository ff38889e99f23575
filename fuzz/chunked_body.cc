// The payload of a chunked body does not depend on how its bytes are cut.
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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Outcome whole = decode(bytes, size == 0 ? 1 : size);
  const Outcome cut = decode(bytes, 3);
  if (whole.body != cut.body) std::abort();
  const bool ended = whole.state == BodyDecoder::State::done || whole.state == BodyDecoder::State::malformed;
  if (ended && whole.state != cut.state) std::abort();
  return 0;
}
