#include "proxy/websocket_key.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>
#include <cstddef>

#include "proxy/head_writer.h"

namespace gateway::proxy {
namespace {

template <std::size_t Size>
std::string_view base64(const std::array<unsigned char, Size>& bytes, http::Arena& arena) {
  constexpr std::size_t digits = (Size + 2) / 3 * 4;
  auto* text = static_cast<unsigned char*>(arena.allocate(digits + 1, 1));  // OpenSSL ends it with NUL
  EVP_EncodeBlock(text, bytes.data(), Size);
  return {reinterpret_cast<const char*>(text), digits};
}

}  // namespace

std::string_view websocket_key(http::Arena& arena) {
  std::array<unsigned char, 16> bytes{};
  RAND_bytes(bytes.data(), bytes.size());
  return base64(bytes, arena);
}

std::string_view websocket_accept(std::string_view key, http::Arena& arena) {
  const std::string_view text = join(arena, {key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"});
  std::array<unsigned char, 20> digest{};
  EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha1(), nullptr);
  return base64(digest, arena);
}

}  // namespace gateway::proxy
