// A request head must be read the same way however it is cut, and what is accepted must hold together.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "http/h1/request_parser.h"

using namespace gateway::http;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const h1::Limits limits;
  Arena arena;
  RequestHead whole(arena);
  h1::RequestParser at_once(limits);
  const h1::HeadState state = at_once.parse(bytes, whole);

  RequestHead cut(arena);
  h1::RequestParser by_pieces(limits);
  h1::HeadState piecewise = h1::HeadState::incomplete;
  for (std::size_t end = 0; end < size && piecewise == h1::HeadState::incomplete;) {
    end = std::min(size, end + 1 + size / 7);
    piecewise = by_pieces.parse(bytes.substr(0, end), cut);
  }
  if (state == h1::HeadState::complete && (piecewise != state || by_pieces.consumed() != at_once.consumed())) std::abort();
  if (state != h1::HeadState::complete) return 0;
  if (at_once.consumed() > size || whole.method.empty() || whole.path.empty()) std::abort();
  if (whole.path != "*" && whole.path.front() != '/') std::abort();
  unsigned lengths = 0;
  unsigned codings = 0;
  for (const Header& header : whole.headers) {
    lengths += header.id == Name::content_length;
    codings += header.id == Name::transfer_encoding;
    for (const char c : header.value) {
      if (c == '\r' || c == '\n' || c == '\0') std::abort();
    }
  }
  if (lengths + codings > 1) std::abort();
  return 0;
}
