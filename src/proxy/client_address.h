#pragma once

#include <string_view>

#include "http/headers.h"
#include "plugin/exchange.h"
#include "proxy/options.h"

namespace gateway::proxy {

/// Whether a peer may speak for others (setting trusted_ips).
[[nodiscard]] bool is_trusted(std::string_view ip, const Options& options);

/// Sets facts.client_ip from real_ip_header when the peer is trusted; a value that is no address changes
/// nothing. Source: Kong 3.9, real_ip_header and real_ip_recursive.
void resolve_client_address(plugin::Connection& facts, const http::Headers& headers, const Options& options);

}  // namespace gateway::proxy
