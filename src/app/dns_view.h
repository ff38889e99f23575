#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "admin/context.h"
#include "base/task.h"
#include "net/loop.h"
#include "proxy/worker.h"

namespace gateway::app {

/// What each worker's resolver knows. Each is asked on its own thread; one that does not answer within `longest` (it may be
/// about to end) knows nothing. On `home`'s thread; the workers must live until they are asked, not longer.
Task<std::vector<std::vector<admin::DnsName>>> names_known(net::Loop& home, const std::vector<std::unique_ptr<proxy::Worker>>& workers,
                                                           std::chrono::milliseconds longest);

}  // namespace gateway::app
