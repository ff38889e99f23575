#pragma once

#include "base/task.h"
#include "proxy/request.h"

namespace gateway::proxy {

/// Sends the request to the service and its answer to the client. Tries again where that does no harm;
/// when nothing helps, the client gets 502, 503 or 504. Source: Kong 3.9, retries and time-outs.
Task<void> forward(Request& request);

}  // namespace gateway::proxy
