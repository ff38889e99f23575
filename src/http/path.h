#pragma once

#include <string>
#include <string_view>

#include "http/headers.h"

namespace gateway::http {

/// A request path as the router sees it and the upstream gets it: escapes of unreserved characters undone,
/// those that stay in upper case, bytes outside RFC 3986 escaped, dot segments resolved, slashes merged.
///
/// Idempotent. Returns `raw` itself when it is in that form already, which is the usual case; else a copy
/// in the arena. Source: Kong 3.9 router input; RFC 3986, 6.2.2.
[[nodiscard]] std::string_view normalise(std::string_view raw, Arena& arena);

/// The same for configuration, where a string of its own is at hand.
[[nodiscard]] std::string normalised(std::string_view raw);

}  // namespace gateway::http
