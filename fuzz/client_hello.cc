// What a client says first in TLS, read for the name it asks for: the same however many bytes of it have come.
#include "tls/client_hello.h"

#include <cstdint>
#include <cstdlib>

using gateway::tls::ClientHello;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const ClientHello whole = gateway::tls::parse_client_hello(bytes);
  if (whole.server_name.size() > 255) std::abort();
  if (whole.state == ClientHello::State::incomplete && !whole.server_name.empty()) std::abort();
  // A beginning says no more than the whole, and nothing else.
  for (std::size_t some = size / 2; some < size; some += size / 8 + 1) {
    const ClientHello part = gateway::tls::parse_client_hello(bytes.substr(0, some));
    if (part.state == ClientHello::State::malformed && whole.state != ClientHello::State::malformed) std::abort();
    if (part.state == ClientHello::State::complete && (whole.state != part.state || whole.server_name != part.server_name)) std::abort();
  }
  return 0;
}
