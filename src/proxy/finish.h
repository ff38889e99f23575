#pragma once

#include "proxy/request.h"

namespace gateway::proxy {

/// After the last byte, whatever happened: the log phase, the access log, the counters.
void finish(Request& request) noexcept;

}  // namespace gateway::proxy
