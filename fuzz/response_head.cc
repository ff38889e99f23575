// Whatever an upstream sends: no crash, the same reading however it is cut, and framing that is accepted is unambiguous.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "http/h1/response_parser.h"

using namespace gateway::http;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Arena arena;
  ResponseHead head(arena);
  h1::ResponseParser at_once;
  const h1::HeadState state = at_once.parse(bytes, head, "GET");

  ResponseHead cut(arena);
  h1::ResponseParser by_pieces;
  h1::HeadState piecewise = h1::HeadState::incomplete;
  for (std::size_t end = 0; end < size && piecewise == h1::HeadState::incomplete;) {
    end = std::min(size, end + 1 + size / 7);
    piecewise = by_pieces.parse(bytes.substr(0, end), cut, "GET");
  }
  if (state == h1::HeadState::complete && (piecewise != state || by_pieces.consumed() != at_once.consumed())) std::abort();
  if (state != h1::HeadState::complete) return 0;
  if (cut.status != head.status || cut.framing.kind != head.framing.kind || cut.framing.length != head.framing.length) std::abort();

  if (at_once.consumed() > size || head.status < 100 || head.status > 999) std::abort();
  if (head.framing.kind == Framing::Kind::chunked && head.headers.find(Name::content_length) != nullptr) std::abort();
  if (head.framing.kind == Framing::Kind::until_close && head.keep_alive) std::abort();
  if ((head.status < 200 || head.status == 204 || head.status == 304) && head.framing.kind != Framing::Kind::none) std::abort();
  for (const Header& header : head.headers) {
    if (header.name.empty() || header.value.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) std::abort();
  }

  // An answer to HEAD is read by its head alone.
  ResponseHead to_head(arena);
  h1::ResponseParser parser;
  if (parser.parse(bytes, to_head, "HEAD") != h1::HeadState::complete || to_head.framing.kind != Framing::Kind::none) std::abort();
  return 0;
}
