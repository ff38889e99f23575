#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gateway::net {

/// An address in the kernel's own form, so that TCP and unix sockets go one way.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  [[nodiscard]] int family() const noexcept { return storage.ss_family; }
  [[nodiscard]] std::uint16_t port() const noexcept;  ///< 0 for unix sockets
  [[nodiscard]] std::string ip() const;               ///< "127.0.0.1", "::1", "unix:"
  [[nodiscard]] std::string to_string() const;        ///< "127.0.0.1:80", "[::1]:80", "unix:/path"

  /// A literal IPv4 or IPv6 address; nullopt otherwise.
  static std::optional<SocketAddress> from_ip(std::string_view ip, std::uint16_t port);
  /// Errors: the path does not fit (107 bytes).
  static Result<SocketAddress> from_path(std::string_view path);

  /// Same bytes, same place.
  friend bool operator==(const SocketAddress& a, const SocketAddress& b) noexcept {
    return a.size == b.size && std::memcmp(&a.storage, &b.storage, a.size) == 0;
  }
};

/// Addresses come from the configuration and from name servers: no flood of those that collide is to be feared.
struct SocketAddressHash {
  std::size_t operator()(const SocketAddress& address) const noexcept {
    const char* at = reinterpret_cast<const char*>(&address.storage);
    std::uint64_t hash = address.size;
    for (std::size_t left = address.size; left > 0;) {
      const std::size_t size = left < 8 ? left : 8;
      std::uint64_t word = 0;
      std::memcpy(&word, at, size);
      hash = (hash ^ word) * 0x9E3779B97F4A7C15U;
      hash ^= hash >> 32;
      at += size;
      left -= size;
    }
    return hash;
  }
};

}  // namespace gateway::net
