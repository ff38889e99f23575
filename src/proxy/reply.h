#pragma once

#include "base/task.h"
#include "http/message.h"
#include "proxy/request.h"

namespace gateway::proxy {

/// Sends an answer of the gateway's own, through the header_filter phase. `reply.negotiate` is rendered
/// first, as the client's Accept wants it.
Task<void> send_reply(Request& request, http::Reply& reply);

/// Runs the header_filter phase over an answer about to be sent.
void filter_headers(Request& request, unsigned& status, http::Headers& headers);

/// Adds Connection (and for HTTP/1.0 what keeps it open), Date where missing, and our own headers.
void add_own_headers(Request& request, http::Headers& headers, plugin::Record::Source source);

/// The whole milliseconds between two points, never negative.
[[nodiscard]] std::int64_t milliseconds_between(Steady::time_point from, Steady::time_point to) noexcept;

}  // namespace gateway::proxy
