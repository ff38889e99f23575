#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/address.h"

namespace gateway::net {

/// An IP address without a port. IPv4 is kept mapped (::ffff:a.b.c.d), so that a client is the same one
/// whichever kind of listener it came through.
struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};

  /// Strict: dotted decimal without leading zeros or RFC 4291 text; no port, zone, brackets or blanks.
  static std::optional<IpAddress> parse(std::string_view text) noexcept;
  /// Nullopt for unix sockets.
  static std::optional<IpAddress> from(const SocketAddress& address) noexcept;

  /// From the four bytes as they are on the wire.
  static IpAddress from_v4(const void* bytes) noexcept;

  [[nodiscard]] bool is_v4() const noexcept;
  [[nodiscard]] SocketAddress with_port(std::uint16_t port) const noexcept;
  [[nodiscard]] std::string to_string() const;  ///< "127.0.0.1", "::1"

  friend bool operator==(const IpAddress&, const IpAddress&) = default;
  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;
};

/// A set of networks. Unchanged after it is built, hence readable from every thread.
class CidrSet {
 public:
  /// Adds "10.0.0.0/8", "fd00::/8" or a single address. Host bits are ignored, as Kong does. False, and
  /// nothing added: not a network.
  bool add(std::string_view cidr_or_ip);

  /// A binary search: the networks are kept as sorted ranges that do not overlap.
  [[nodiscard]] bool contains(const IpAddress& address) const noexcept;
  [[nodiscard]] bool empty() const noexcept { return ranges_.empty(); }

 private:
  struct Range {
    IpAddress first, last;  // both included
  };
  /// The first range that begins after `address`.
  [[nodiscard]] std::vector<Range>::const_iterator after(const IpAddress& address) const noexcept;

  std::vector<Range> ranges_;
};

}  // namespace gateway::net
