#pragma once

#include "base/task.h"
#include "proxy/request.h"

namespace gateway::proxy {

/// Everything between a request's head and the end of its response, in order. This is the map.
Task<void> answer(Request& request);

/// Answers a request whose head could not be read: `why` is for the log.
Task<void> refuse_unread(Request& request, unsigned status, std::string_view why);

/// The plugins of a request that never reached routing: the global ones, for header_filter and log.
void choose_global_plugins(Request& request);

}  // namespace gateway::proxy
