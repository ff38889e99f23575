// Whatever comes in place of a PROXY protocol header: the same reading however it is cut, and addresses that are whole.
#include "net/proxy_protocol.h"

#include <cstdint>
#include <cstdlib>

using namespace gateway::net;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const ProxyHeader at_once = parse_proxy_header(bytes);
  if (at_once.state == ProxyHeader::State::complete && (at_once.size == 0 || at_once.size > size)) std::abort();
  if (at_once.source.has_value() != at_once.destination.has_value()) std::abort();
  if (at_once.source && at_once.source->family() != at_once.destination->family()) std::abort();
  if (at_once.state == ProxyHeader::State::incomplete && size >= max_proxy_header_bytes) std::abort();

  for (std::size_t end = 0; end < size; ++end) {
    const ProxyHeader cut = parse_proxy_header(bytes.substr(0, end));
    if (cut.state == ProxyHeader::State::malformed && at_once.state != ProxyHeader::State::malformed) std::abort();
    if (cut.state == ProxyHeader::State::complete && (at_once.state != cut.state || at_once.size != cut.size)) std::abort();
  }
  if (!at_once.source) return 0;
  const ProxyHeader again = parse_proxy_header(write_proxy_header(*at_once.source, *at_once.destination));
  if (!again.source || again.source->to_string() != at_once.source->to_string()) std::abort();
  return 0;
}
