#pragma once

#include <optional>
#include <string_view>

#include "entity/upstream.h"
#include "proxy/request.h"

namespace gateway::proxy {

/// What an upstream hashes of this request: the first of hash_on and hash_fallback that it has; empty when it has neither.
/// A cookie that the client does not send is made up, and set by the answer. Views live as long as the request.
/// Source: Kong 3.9, load balancing.
[[nodiscard]] std::string_view hash_input(Request& request, const entity::Upstream& upstream);

}  // namespace gateway::proxy
