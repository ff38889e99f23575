#include "app/settings/listen.h"

#include <netdb.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "app/settings/values.h"

namespace gateway::app {
namespace {

Error refused(const std::string& why) { return Error{boost::system::errc::make_error_code(boost::system::errc::invalid_argument), Origin::gateway, why}; }

Error wrong(std::string_view name, ListenFor what) {
  const bool http = what == ListenFor::http;
  return refused(std::string(name) + " must be of form: [off] | <ip>:<port> [ssl] " + (http ? "[http2] " : "[udp] ") + "[proxy_protocol] " +
                 (http ? "[deferred] " : "") +
                 "[bind] [reuseport] [backlog=%d+] [ipv6only=on] [ipv6only=off] [so_keepalive=on] [so_keepalive=off] [so_keepalive=%w*:%w*:%d*], "
                 "[... next entry ...]");
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
bool parse_keep_alive(std::string_view text, Listen& out) {
  net::KeepAlive how;
  how.on = text != "off";
  if (text != "on" && text != "off") {
    std::array<std::string_view, 3> parts;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const std::size_t colon = text.find(':');
      if ((colon == std::string_view::npos) != (i == parts.size() - 1)) return false;
      parts[i] = text.substr(0, colon);
      text.remove_prefix(std::min(text.size(), colon == std::string_view::npos ? text.size() : colon + 1));
    }
    const auto time = [](std::string_view part, std::chrono::seconds& into) {
      const std::optional<std::chrono::milliseconds> parsed = part.empty() ? std::chrono::milliseconds(0) : parse_duration(part);
      if (parsed) into = std::chrono::duration_cast<std::chrono::seconds>(*parsed);
      return parsed.has_value();
    };
    if (!time(parts[0], how.idle) || !time(parts[1], how.interval)) return false;
    const auto count = std::from_chars(parts[2].data(), parts[2].data() + parts[2].size(), how.count);
    if (!parts[2].empty() && (count.ec != std::errc() || count.ptr != parts[2].data() + parts[2].size())) return false;
  }
  out.keep_alive = how;
  return true;
}

bool parse_flag(const std::string& flag, ListenFor what, Listen& out) {
  if (flag == "ssl") return out.tls = true;
  if (flag == "http2") return out.http2 = what == ListenFor::http;
  if (flag == "udp") return out.udp = what == ListenFor::streams;
  if (flag == "proxy_protocol") return out.proxy_protocol = true;
  if (flag.starts_with("backlog=")) {
    const auto parsed = std::from_chars(flag.data() + 8, flag.data() + flag.size(), out.backlog);
    return parsed.ec == std::errc() && parsed.ptr == flag.data() + flag.size() && out.backlog > 0;
  }
  if (flag.starts_with("so_keepalive=")) return parse_keep_alive(std::string_view(flag).substr(13), out);
  if (flag == "ipv6only=off") out.ipv6_only = net::Ipv6Only::no;
  // Said for nginx: each worker has a socket of its own here whatever they say.
  return flag == "bind" || flag == "reuseport" || flag == "ipv6only=on" || flag == "ipv6only=off" || (flag == "deferred" && what == ListenFor::http);
}

// As nginx has it: these are about connections.
std::string_view flag_against_udp(const Listen& listen) {
  if (listen.tls) return "ssl";
  if (listen.proxy_protocol) return "proxy_protocol";
  if (listen.keep_alive) return "so_keepalive";
  return listen.address.family() == AF_UNIX ? "unix:" : "";
}

}  // namespace

Result<std::vector<Listen>> parse_listen(std::string_view name, std::string_view text, ListenFor what) {
  std::vector<Listen> out;
  for (const std::string& entry : split_list(text)) {
    const std::vector<std::string> words = words_of(entry);
    if (out.empty() && words.front() == "off") return out;
    Listen listen;
    if (!parse_address(words.front(), listen.address)) return wrong(name, what);
    for (std::size_t i = 1; i < words.size(); ++i) {
      if (!parse_flag(words[i], what, listen)) return wrong(name, what);
    }
    if (const std::string_view other = listen.udp ? flag_against_udp(listen) : ""; !other.empty()) {
      return refused(std::string(name) + ": udp and " + std::string(other) + " do not go together: '" + entry + "'");
    }
    out.push_back(listen);
  }
  return out;
}

}  // namespace gateway::app
