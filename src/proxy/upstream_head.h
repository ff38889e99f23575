#pragma once

#include "proxy/options.h"
#include "proxy/request.h"

namespace gateway::proxy {

/// Turns the client's header list into what the upstream is to see: hop-by-hop headers go, X-Forwarded-*,
/// Via and the request id come. Nothing that `Connection` names may take away framing, Host or what we set.
/// Source: RFC 9110, 7.6; Kong 3.9 proxy headers.
void prepare_request_headers(Request& request, const Options& options);

/// The host the client asked for, as X-Forwarded-Host and redirects name it: what a trusted peer says, else the
/// request's own in lower case and without its port.
[[nodiscard]] std::string_view forwarded_host(Request& request);

/// Whether a '?' goes upstream: with a query behind it, or bare as the client sent it.
[[nodiscard]] bool sends_query(const Request& request) noexcept;

/// Marks the headers that the list's own Connection names. For a request before any plugin sees it: what plugins set
/// afterwards under such a name is ours, and stays.
void mark_hop_by_hop(http::Headers& headers);

/// Removes what is meant for one hop only: the marked ones, and those that always are.
void remove_hop_by_hop(http::Headers& headers, bool keep_upgrade);

}  // namespace gateway::proxy
