#include "app/proxy_options.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <sstream>

#include "version.h"

namespace gateway::app {
namespace {

class Reader {
 public:
  explicit Reader(Settings& settings) : values_(settings.values) {}

  std::string text(const std::string& name) { return values_.by_name[name].text; }
  bool flag(const std::string& name) { return text(name) == "on" || text(name) == "true"; }
  bool said(const std::string& name) { return values_.by_name[name].where != "default"; }
  void wrong(const std::string& name, const std::string& why) { values_.errors.push_back(values_.by_name[name].where + ": " + why); }

  std::uint64_t size(const std::string& name, std::uint64_t least = 0) {
    const std::optional<std::uint64_t> parsed = parse_size(text(name));
    if (!parsed || *parsed < least) wrong(name, name + " is not a number of at least " + std::to_string(least) + ": '" + text(name) + "'");
    return parsed.value_or(least);
  }
  std::chrono::milliseconds duration(const std::string& name) {
    const std::string given = text(name);
    // "75s 60s": the second is what nginx tells the client.
    const std::optional<std::chrono::milliseconds> parsed = parse_duration(given.substr(0, given.find(' ')));
    if (!parsed) wrong(name, name + " is not a time: '" + given + "'");
    return parsed.value_or(std::chrono::milliseconds(60000));
  }
  std::optional<std::chrono::seconds> seconds(const std::string& name) {
    if (text(name).empty()) return std::nullopt;
    return std::chrono::duration_cast<std::chrono::seconds>(duration(name));
  }
  std::string file(const std::string& name) {
    if (text(name).empty()) return {};
    std::ifstream in(text(name), std::ios::binary);
    if (!in) {
      wrong(name, name + ": no file at '" + text(name) + "'");
      return {};
    }
    std::stringstream content;
    content << in.rdbuf();
    return content.str();
  }

 private:
  Values& values_;
};

proxy::HeaderTokens header_tokens(Reader& read) {
  proxy::HeaderTokens tokens{false, false, false, false, false, false, false};
  bool first = true;
  for (const std::string& each : split_list(read.text("headers"))) {
    const bool alone = std::exchange(first, false);
    using http::equals_ignoring_case;
    if (each == "off") {
      if (alone) return tokens;
    } else if (equals_ignoring_case(each, "server_tokens")) {
      tokens.server = tokens.via = true;
    } else if (equals_ignoring_case(each, "latency_tokens")) {
      tokens.proxy_latency = tokens.upstream_latency = tokens.response_latency = true;
    } else if (equals_ignoring_case(each, "Server")) {
      tokens.server = true;
    } else if (equals_ignoring_case(each, "Via")) {
      tokens.via = true;
    } else if (equals_ignoring_case(each, "X-Kong-Proxy-Latency")) {
      tokens.proxy_latency = true;
    } else if (equals_ignoring_case(each, "X-Kong-Upstream-Latency")) {
      tokens.upstream_latency = true;
    } else if (equals_ignoring_case(each, "X-Kong-Response-Latency")) {
      tokens.response_latency = true;
    } else if (equals_ignoring_case(each, "X-Kong-Upstream-Status")) {
      tokens.upstream_status = true;
    } else if (equals_ignoring_case(each, "X-Kong-Request-Id")) {
      tokens.request_id = true;
    } else if (!equals_ignoring_case(each, "X-Kong-Admin-Latency")) {
      read.wrong("headers", "headers: invalid entry '" + each + "'");
    }
  }
  return tokens;
}

void read_upstream_headers(Reader& read, proxy::Options& out) {
  const std::vector<std::string> given = split_list(read.text("headers_upstream"));
  out.upstream_request_id = !given.empty() && given.front() != "off";
  for (const std::string& each : given) {
    if (each != "off" && !http::equals_ignoring_case(each, "X-Kong-Request-Id")) {
      read.wrong("headers_upstream", "headers_upstream: invalid entry '" + each + "'");
    }
  }
}

void read_trust(Reader& read, proxy::Options& out) {
  for (const std::string& each : split_list(read.text("trusted_ips"))) {
    if (each == "unix:") {
      out.trust_unix = true;
    } else if (!out.trusted.add(each)) {
      read.wrong("trusted_ips", "trusted_ips must be a comma separated list in the form of IPv4 or IPv6 address or CIDR block or 'unix:', got '" + each + "'");
    }
  }
  out.real_ip_header = read.text("real_ip_header");
  out.real_ip_by_proxy_protocol = out.real_ip_header == "proxy_protocol";
  out.real_ip_recursive = read.flag("real_ip_recursive");
}

void read_port_maps(Reader& read, proxy::Options& out) {
  for (const std::string& each : split_list(read.text("port_maps"))) {
    std::uint16_t told = 0;
    std::uint16_t local = 0;
    const char* end = each.data() + each.size();
    const auto first = std::from_chars(each.data(), end, told);
    const bool colon = first.ec == std::errc() && first.ptr != end && *first.ptr == ':';
    const auto second = colon ? std::from_chars(first.ptr + 1, end, local) : first;
    if (!colon || second.ec != std::errc() || second.ptr != end || told == 0 || local == 0) {
      read.wrong("port_maps", "invalid port mapping (`port_maps`): " + each);
    } else {
      out.port_maps[local] = told;
    }
  }
}

// "4 8k": as many buffers of that size may a head take, and one of them its request line (nginx).
void read_header_buffers(Settings& settings, Reader& read, proxy::Options& out) {
  for (const char* name : {"nginx_http_large_client_header_buffers", "nginx_proxy_large_client_header_buffers"}) {
    const Value* given = settings.values.find(name);
    if (given == nullptr) continue;
    std::istringstream words(given->text);
    std::string count;
    std::string size;
    words >> count >> size;
    const std::optional<std::uint64_t> buffers = parse_size(count);
    const std::optional<std::uint64_t> bytes = parse_size(size);
    if (!buffers || !bytes || *buffers == 0 || *bytes < 256) {
      read.wrong(name, std::string(name) + " must be '<number> <size>'");
      continue;
    }
    out.head.max_head_bytes = *buffers * *bytes;
    out.head.max_target_bytes = *bytes;
  }
}

// "1.1.1.1", "1.1.1.1:53", "[::1]:53", "::1"
bool is_name_server(std::string_view text) {
  if (net::SocketAddress::from_ip(text, 53)) return true;
  std::string_view host = text;
  if (const std::size_t colon = text.rfind(':'); colon != std::string_view::npos && (text.front() != '[' || text[colon - 1] == ']')) {
    const std::string_view digits = text.substr(colon + 1);
    std::uint16_t port = 0;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (digits.empty() || parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size()) return false;
    host = text.substr(0, colon);
  }
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return net::SocketAddress::from_ip(host, 53).has_value();
}

net::Resolver::Options dns_options(Reader& read) {
  net::Resolver::Options out;
  const bool newer = read.flag("new_dns_client");
  const std::string servers = newer ? "resolver_address" : "dns_resolver";
  out.servers = split_list(read.text(servers));
  for (const std::string& each : out.servers) {
    if (!is_name_server(each)) read.wrong(servers, servers + " must be a comma separated list in the form of IPv4/6 or IPv4/6:port, got '" + each + "'");
  }
  const std::string hosts = newer ? "resolver_hosts_file" : "dns_hostsfile";
  out.hosts_file = read.text(hosts);
  // A machine without /etc/hosts, as small images are, is no mistake of whoever runs us.
  if (!out.hosts_file.empty() && read.said(hosts) && ::access(out.hosts_file.c_str(), F_OK) != 0) read.wrong(hosts, hosts + ": file does not exist");
  out.order.clear();
  const std::string order = newer ? "resolver_family" : "dns_order";
  // The newer client always begins with the type that worked last time, and follows aliases unasked.
  if (newer) out.order.emplace_back("LAST");
  for (const std::string& each : split_list(read.text(order))) {
    constexpr std::array<const char*, 5> words{"A", "AAAA", "SRV", "CNAME", "LAST"};
    const auto end = newer ? words.begin() + 3 : words.end();
    const auto word = std::find_if(words.begin(), end, [&](const char* one) { return http::equals_ignoring_case(each, one); });
    if (word == end) {
      read.wrong(order, order + ": invalid entry '" + each + "'");
    } else {
      out.order.emplace_back(*word);
    }
  }
  out.valid_ttl = read.seconds(newer ? "resolver_valid_ttl" : "dns_valid_ttl");
  out.stale_ttl = read.seconds(newer ? "resolver_stale_ttl" : "dns_stale_ttl").value_or(out.stale_ttl);
  // The newer client tells them not apart.
  out.not_found_ttl = read.seconds(newer ? "resolver_error_ttl" : "dns_not_found_ttl").value_or(out.not_found_ttl);
  out.error_ttl = read.seconds(newer ? "resolver_error_ttl" : "dns_error_ttl").value_or(out.error_ttl);
  out.cache_size = read.size(newer ? "resolver_lru_cache_size" : "dns_cache_size", 1);
  return out;
}

}  // namespace

tls::ServerOptions server_options(const TlsSettings& settings) {
  return {settings.suite, settings.dh_parameters, settings.session_tickets, settings.session_timeout, nullptr};
}

DataPathOptions data_path_options(Settings& settings) {
  Reader read(settings);
  DataPathOptions out;
  proxy::Options& proxy = out.proxy;
  proxy.head.max_headers = read.size("client_max_headers", 1);
  proxy.head.max_head_bytes = read.size("client_max_head_size", 1024);
  proxy.head.max_target_bytes = read.size("client_max_target_size", 256);
  proxy.head.allow_underscores = read.flag("underscores_in_headers");
  read_header_buffers(settings, read, proxy);
  proxy.max_connections = read.text("client_max_connections") == "auto" ? 65536 : read.size("client_max_connections", 1);
  proxy.requests_per_connection = static_cast<unsigned>(read.size("client_keepalive_requests", 1));
  proxy.head_timeout = read.duration("client_header_timeout");
  proxy.idle_timeout = read.duration("client_keepalive_timeout");
  proxy.body_timeout = read.duration("client_body_timeout");
  proxy.send_timeout = read.duration("client_send_timeout");
  proxy.max_body_bytes = read.size("client_max_body_size");
  proxy.headers = header_tokens(read);
  read_upstream_headers(read, proxy);
  proxy.debug_header = read.flag("allow_debug_header");
  proxy.product = product;
  proxy.error_default_type = read.text("error_default_type");
  proxy.error_templates = {read.file("error_template_json"), read.file("error_template_html"), read.file("error_template_xml"),
                           read.file("error_template_plain")};
  read_trust(read, proxy);
  proxy.tls = server_options(settings.tls);
  read_port_maps(read, proxy);
  proxy.keepalive.idle_per_peer = read.size("upstream_keepalive_pool_size");
  proxy.keepalive.requests = static_cast<unsigned>(read.size("upstream_keepalive_max_requests"));
  proxy.keepalive.idle = read.duration("upstream_keepalive_idle_timeout");
  proxy.access_log_format = settings.json_access_log ? telemetry::LogFormat::json : telemetry::LogFormat::plain;
  out.dns = dns_options(read);
  return out;
}

}  // namespace gateway::app
