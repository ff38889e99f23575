#include "app/settings/listen.h"

#include <netdb.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "app/settings/values.h"

namespace gateway::app {
namespace {

Error wrong(std::string_view name) {
  return Error{boost::system::errc::make_error_code(boost::system::errc::invalid_argument), Origin::gateway,
               std::string(name) +
                   " must be of form: [off] | <ip>:<port> [ssl] [http2] [proxy_protocol] [deferred] [bind] [reuseport] [backlog=%d+] "
                   "[ipv6only=on] [ipv6only=off] [so_keepalive=on] [so_keepalive=off] [so_keepalive=%w*:%w*:%d*], [... next entry ...]"};
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  while (true) {
    const std::size_t first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return words;
    text.remove_prefix(first);
    const std::size_t end = std::min(text.find_first_of(" \t"), text.size());
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

// Names are looked up once, here: where to listen does not change while running.
bool find_address(const std::string& host, const std::string& port, net::SocketAddress& out) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (host.empty() || ::getaddrinfo(host.c_str(), port.c_str(), &wanted, &found) != 0) return false;
  // IPv4 first, as nginx does with a name that has both: "localhost" is 127.0.0.1.
  const addrinfo* chosen = found;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    if (each->ai_family != AF_INET) continue;
    chosen = each;
    break;
  }
  std::memcpy(&out.storage, chosen->ai_addr, chosen->ai_addrlen);
  out.size = chosen->ai_addrlen;
  ::freeaddrinfo(found);
  return true;
}

bool parse_address(std::string_view text, net::SocketAddress& out) {
  if (text.starts_with("unix:")) {
    Result<net::SocketAddress> address = net::SocketAddress::from_path(text.substr(5));
    if (!address || text.size() < 7) return false;
    out = *address;
    return true;
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  std::uint16_t port = 0;
  const std::string_view digits = text.substr(colon + 1);
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (digits.empty() || parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size()) return false;
  std::string_view host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  if (const std::optional<net::SocketAddress> address = net::SocketAddress::from_ip(host, port)) {
    out = *address;
    return true;
  }
  return find_address(std::string(host), std::string(digits), out);
}

// "on", "off", or nginx's "<idle>:<interval>:<count>" where each may be left out.
bool is_keepalive(std::string_view text) {
  if (text == "on" || text == "off") return true;
  return std::count(text.begin(), text.end(), ':') == 2 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c == ':' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); });
}

bool parse_flag(const std::string& flag, Listen& out) {
  if (flag == "ssl") return out.tls = true;
  if (flag == "http2") return out.http2 = true;
  if (flag == "proxy_protocol") return out.proxy_protocol = true;
  if (flag.starts_with("backlog=")) {
    const auto parsed = std::from_chars(flag.data() + 8, flag.data() + flag.size(), out.backlog);
    return parsed.ec == std::errc() && parsed.ptr == flag.data() + flag.size() && out.backlog > 0;
  }
  // Said for nginx: each worker has a socket of its own here whatever they say.
  return flag == "deferred" || flag == "bind" || flag == "reuseport" || flag == "ipv6only=on" || flag == "ipv6only=off" ||
         (flag.starts_with("so_keepalive=") && is_keepalive(std::string_view(flag).substr(13)));
}

}  // namespace

Result<std::vector<Listen>> parse_listen(std::string_view name, std::string_view text) {
  std::vector<Listen> out;
  for (const std::string& entry : split_list(text)) {
    const std::vector<std::string> words = words_of(entry);
    if (out.empty() && words.front() == "off") return out;
    Listen listen;
    if (!parse_address(words.front(), listen.address)) return wrong(name);
    for (std::size_t i = 1; i < words.size(); ++i) {
      if (!parse_flag(words[i], listen)) return wrong(name);
    }
    out.push_back(listen);
  }
  return out;
}

}  // namespace gateway::app
