#include "proxy/client_address.h"

#include <optional>

namespace gateway::proxy {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// An address as headers spell it: bare, with a port, or an IPv6 one in brackets.
std::string_view address_in(std::string_view text) {
  text = trimmed(text);
  if (!text.empty() && text.front() == '[') {
    const std::size_t end = text.find(']');
    return end == std::string_view::npos ? std::string_view{} : text.substr(1, end - 1);
  }
  const std::size_t colon = text.find(':');
  if (colon != std::string_view::npos && text.find(':', colon + 1) == std::string_view::npos) return text.substr(0, colon);
  return text;
}

}  // namespace

bool is_trusted(std::string_view ip, const Options& options) {
  if (ip == "unix:") return options.trust_unix;
  const std::optional<net::IpAddress> address = net::IpAddress::parse(ip);
  return address && options.trusted.contains(*address);
}

void resolve_client_address(plugin::Connection& facts, const http::Headers& headers, const Options& options) {
  if (!facts.trusted || options.real_ip_by_proxy_protocol) return;
  const http::Header* header = headers.find(options.real_ip_header);
  if (header == nullptr) return;
  // The last entry was added by the peer itself; recursively, by whom we trust.
  std::string_view list = header->value;
  while (!list.empty()) {
    const std::size_t comma = list.rfind(',');
    const std::string_view one = address_in(comma == std::string_view::npos ? list : list.substr(comma + 1));
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(0, comma);
    if (!net::IpAddress::parse(one)) return;
    facts.client_ip = one;
    if (!options.real_ip_recursive || !is_trusted(one, options)) return;
  }
}

}  // namespace gateway::proxy
