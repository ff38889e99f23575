#pragma once

#include "base/ascii.h"
#include "http/h2/session.h"
#include "http/headers.h"
#include "proxy/head_writer.h"

namespace gateway::proxy {

/// Whether HTTP/2 has a field for a header: not for what only concerns a connection, which has frames (RFC 9113, 8.2.2).
[[nodiscard]] inline bool has_h2_field(const http::Header& header) noexcept {
  using http::Name;
  switch (header.id) {
    case Name::connection:
    case Name::keep_alive:
    case Name::proxy_connection:
    case Name::transfer_encoding:
    case Name::upgrade: return false;
    default: return !header.name.empty();
  }
}

/// Another value in nearly every message: to remember it would only push out what comes again (RFC 7541, 6.2.2).
[[nodiscard]] inline bool varies(http::Name name) noexcept {
  using http::Name;
  switch (name) {
    case Name::date:
    case Name::x_kong_proxy_latency:
    case Name::x_kong_request_id:
    case Name::x_kong_response_latency:
    case Name::x_kong_upstream_latency: return true;
    default: return false;
  }
}

/// A header as a field, its name in small letters (RFC 9113, 8.2.1) in the arena.
[[nodiscard]] inline nghttp2_nv h2_field(const http::Header& header, http::Arena& arena) {
  auto* name = static_cast<char*>(arena.allocate(header.name.size(), 1));
  nghttp2_nv field = http::h2::Session::field(lower_case(header.name, name), header.checked ? header.value : one_line(header.value));
  if (varies(header.id)) field.flags = NGHTTP2_NV_FLAG_NO_INDEX;
  return field;
}

}  // namespace gateway::proxy
