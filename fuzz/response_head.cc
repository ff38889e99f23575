// Whatever an upstream sends: no crash, and framing that is accepted is unambiguous.
#include <cstdint>
#include <cstdlib>

#include "http/h1/response_parser.h"

using namespace gateway::http;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Arena arena;
  ResponseHead head(arena);
  h1::ResponseParser parser;
  if (parser.parse({reinterpret_cast<const char*>(data), size}, head, "GET") != h1::HeadState::complete) return 0;
  if (parser.consumed() > size || head.status < 100 || head.status > 999) std::abort();
  if (head.framing.kind == Framing::Kind::chunked && head.headers.find(Name::content_length) != nullptr) std::abort();
  if (head.framing.kind == Framing::Kind::until_close && head.keep_alive) std::abort();
  return 0;
}
