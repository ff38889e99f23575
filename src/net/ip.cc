#include "net/ip.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace gateway::net {
namespace {

constexpr std::array<std::uint8_t, 12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) noexcept {
  char copy[INET6_ADDRSTRLEN];
  // A NUL inside would end the copy early and make "1.2.3.4\0junk" an address.
  if (text.empty() || text.size() >= sizeof copy || text.find('\0') != std::string_view::npos) return std::nullopt;
  std::memcpy(copy, text.data(), text.size());
  copy[text.size()] = '\0';

  in_addr v4;
  if (inet_pton(AF_INET, copy, &v4) == 1) return from_v4(&v4);
  IpAddress address;
  if (inet_pton(AF_INET6, copy, address.bytes.data()) == 1) return address;
  return std::nullopt;
}

std::optional<IpAddress> IpAddress::from(const SocketAddress& address) noexcept {
  if (address.family() == AF_INET) return from_v4(&reinterpret_cast<const sockaddr_in&>(address.storage).sin_addr);
  if (address.family() != AF_INET6) return std::nullopt;
  IpAddress ip;
  std::memcpy(ip.bytes.data(), &reinterpret_cast<const sockaddr_in6&>(address.storage).sin6_addr, ip.bytes.size());
  return ip;
}

IpAddress IpAddress::from_v4(const void* bytes) noexcept {
  IpAddress address;
  std::copy(mapped_prefix.begin(), mapped_prefix.end(), address.bytes.begin());
  std::memcpy(address.bytes.data() + 12, bytes, 4);
  return address;
}

SocketAddress IpAddress::with_port(std::uint16_t port) const noexcept {
  SocketAddress address;
  if (is_v4()) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(address.storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, bytes.data() + 12, 4);
    address.size = sizeof v4;
  } else {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(address.storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, bytes.data(), bytes.size());
    address.size = sizeof v6;
  }
  return address;
}

bool IpAddress::is_v4() const noexcept { return std::equal(mapped_prefix.begin(), mapped_prefix.end(), bytes.begin()); }

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (is_v4()) {
    inet_ntop(AF_INET, bytes.data() + 12, text, sizeof text);
  } else {
    inet_ntop(AF_INET6, bytes.data(), text, sizeof text);
  }
  return text;
}

bool CidrSet::add(std::string_view cidr_or_ip) {
  const std::size_t slash = cidr_or_ip.find('/');
  const std::string_view ip = cidr_or_ip.substr(0, slash);
  const std::optional<IpAddress> address = IpAddress::parse(ip);
  if (!address) return false;

  // Told by the text and not by the bytes: "::ffff:0:0/96" counts its bits from the IPv6 start.
  const bool dotted = ip.find(':') == std::string_view::npos;
  const unsigned width = dotted ? 32 : 128;
  unsigned bits = width;
  if (slash != std::string_view::npos) {
    const std::string_view number = cidr_or_ip.substr(slash + 1);
    const auto [end, failure] = std::from_chars(number.data(), number.data() + number.size(), bits);
    if (failure != std::errc{} || end != number.data() + number.size() || number.size() > 3 || bits > width) return false;
  }
  bits += 128 - width;

  Range range{*address, *address};
  for (unsigned i = 0; i < 16; ++i) {
    const unsigned kept = bits <= i * 8 ? 0 : std::min(bits - i * 8, 8U);
    const auto host = static_cast<std::uint8_t>(0xffU >> kept);
    range.first.bytes[i] = static_cast<std::uint8_t>(range.first.bytes[i] & static_cast<std::uint8_t>(~host));
    range.last.bytes[i] = static_cast<std::uint8_t>(range.last.bytes[i] | host);
  }

  // Two networks are either apart or one lies in the other, so the ranges never overlap by half.
  if (const auto place = after(range.first); place != ranges_.begin() && range.last <= std::prev(place)->last) return true;
  std::erase_if(ranges_, [&range](const Range& old) { return range.first <= old.first && old.last <= range.last; });
  ranges_.insert(after(range.first), range);
  return true;
}

std::vector<CidrSet::Range>::const_iterator CidrSet::after(const IpAddress& address) const noexcept {
  return std::upper_bound(ranges_.begin(), ranges_.end(), address, [](const IpAddress& value, const Range& range) { return value < range.first; });
}

bool CidrSet::contains(const IpAddress& address) const noexcept {
  const auto place = after(address);
  return place != ranges_.begin() && address <= std::prev(place)->last;
}

}  // namespace gateway::net
