#include "net/proxy_protocol.h"

#include <netinet/in.h>

#include <array>
#include <charconv>
#include <cstring>

namespace gateway::net {
namespace {

constexpr std::string_view signature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::string_view beginning_v1 = "PROXY ";
constexpr std::size_t longest_v1 = 107;
// Unspecified, IPv4, IPv6, unix; and unspecified, stream, datagram.
constexpr unsigned last_family = 3;
constexpr unsigned last_transport = 2;

ProxyHeader malformed() { return {ProxyHeader::State::malformed, 0, {}, {}}; }

bool is_beginning_of(std::string_view bytes, std::string_view whole) {
  const std::size_t size = std::min(bytes.size(), whole.size());
  return bytes.substr(0, size) == whole.substr(0, size);
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return port;
}

// "TCP4 192.0.2.1 192.0.2.2 56324 443"
bool parse_line(std::string_view line, ProxyHeader& out) {
  std::array<std::string_view, 5> words;
  std::size_t count = 0;
  for (; count < words.size(); ++count) {
    const std::size_t space = line.find(' ');
    words[count] = line.substr(0, space);
    if (words[count] == "UNKNOWN" && count == 0) return true;
    if (space == std::string_view::npos) break;
    line.remove_prefix(space + 1);
  }
  if (count != 4) return false;
  const int family = words[0] == "TCP4" ? AF_INET : words[0] == "TCP6" ? AF_INET6 : AF_UNSPEC;
  const std::optional<std::uint16_t> source_port = parse_port(words[3]);
  const std::optional<std::uint16_t> destination_port = parse_port(words[4]);
  if (!source_port || !destination_port) return false;
  out.source = SocketAddress::from_ip(words[1], *source_port);
  out.destination = SocketAddress::from_ip(words[2], *destination_port);
  return out.source && out.destination && out.source->family() == family && out.destination->family() == family;
}

ProxyHeader parse_v1(std::string_view bytes) {
  const std::size_t end = bytes.substr(0, longest_v1).find_first_of("\r\n");
  if (end == std::string_view::npos) return bytes.size() >= longest_v1 ? malformed() : ProxyHeader{};
  if (end + 1 == bytes.size() && bytes[end] == '\r') return bytes.size() >= longest_v1 ? malformed() : ProxyHeader{};
  if (bytes.substr(end, 2) != "\r\n" || end + 2 > longest_v1) return malformed();
  ProxyHeader header;
  if (!parse_line(bytes.substr(beginning_v1.size(), end - beginning_v1.size()), header)) return malformed();
  header.state = ProxyHeader::State::complete;
  header.size = end + 2;
  return header;
}

SocketAddress make_address(int family, const char* ip, const char* port) {
  SocketAddress address;
  if (family == AF_INET) {
    auto& in = reinterpret_cast<sockaddr_in&>(address.storage);
    in.sin_family = AF_INET;
    std::memcpy(&in.sin_addr, ip, 4);
    std::memcpy(&in.sin_port, port, 2);
    address.size = sizeof in;
  } else {
    auto& in = reinterpret_cast<sockaddr_in6&>(address.storage);
    in.sin6_family = AF_INET6;
    std::memcpy(&in.sin6_addr, ip, 16);
    std::memcpy(&in.sin6_port, port, 2);
    address.size = sizeof in;
  }
  return address;
}

ProxyHeader parse_v2(std::string_view bytes) {
  constexpr std::size_t fixed = 16;
  if (bytes.size() < fixed) return {};
  const auto command = static_cast<unsigned char>(bytes[12]);
  const auto transport = static_cast<unsigned char>(bytes[13]);
  const std::size_t length = static_cast<std::size_t>(static_cast<unsigned char>(bytes[14])) << 8 | static_cast<unsigned char>(bytes[15]);
  if (command >> 4 != 2 || (command & 15) > 1 || fixed + length > max_proxy_header_bytes) return malformed();
  if (transport >> 4 > last_family || (transport & 15) > last_transport) return malformed();
  if (bytes.size() < fixed + length) return {};
  ProxyHeader header{ProxyHeader::State::complete, fixed + length, {}, {}};
  const bool local = (command & 15) == 0;
  const unsigned family = transport >> 4;
  if (local || (family != 1 && family != 2)) return header;
  const std::size_t ip_size = family == 1 ? 4 : 16;
  if (length < 2 * ip_size + 4) return malformed();
  const char* at = bytes.data() + fixed;
  const int af = family == 1 ? AF_INET : AF_INET6;
  header.source = make_address(af, at, at + 2 * ip_size);
  header.destination = make_address(af, at + ip_size, at + 2 * ip_size + 2);
  return header;
}

}  // namespace

ProxyHeader parse_proxy_header(std::string_view bytes) {
  if (bytes.empty()) return {};
  if (is_beginning_of(bytes, signature)) return bytes.size() < signature.size() ? ProxyHeader{} : parse_v2(bytes);
  if (is_beginning_of(bytes, beginning_v1)) return bytes.size() < beginning_v1.size() ? ProxyHeader{} : parse_v1(bytes);
  return malformed();
}

std::string write_proxy_header(const SocketAddress& source, const SocketAddress& destination) {
  std::string out(signature);
  out += '\x21';
  if (source.family() != destination.family() || (source.family() != AF_INET && source.family() != AF_INET6)) {
    out[12] = '\x20';  // LOCAL: there is nobody to speak for
    out.append("\0\0\0", 3);
    return out;
  }
  const bool v4 = source.family() == AF_INET;
  out += v4 ? '\x11' : '\x21';
  out += '\0';
  out += static_cast<char>(v4 ? 12 : 36);
  const auto ip = [v4](const SocketAddress& address) {
    if (v4) return std::string_view(reinterpret_cast<const char*>(&reinterpret_cast<const sockaddr_in&>(address.storage).sin_addr), 4);
    return std::string_view(reinterpret_cast<const char*>(&reinterpret_cast<const sockaddr_in6&>(address.storage).sin6_addr), 16);
  };
  const auto port = [v4](const SocketAddress& address) {
    if (v4) return std::string_view(reinterpret_cast<const char*>(&reinterpret_cast<const sockaddr_in&>(address.storage).sin_port), 2);
    return std::string_view(reinterpret_cast<const char*>(&reinterpret_cast<const sockaddr_in6&>(address.storage).sin6_port), 2);
  };
  out.append(ip(source)).append(ip(destination)).append(port(source)).append(port(destination));
  return out;
}

}  // namespace gateway::net
