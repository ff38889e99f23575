#pragma once

#include "telemetry/access_log.h"
#include "telemetry/log_file.h"

namespace gateway::telemetry {

/// Sends everything written to gateway::log to `file` from here on, a line per message:
/// `2026/01/02 03:04:05 [error] 123#0: message` as nginx, or `{"time":…,"level":…,"pid":…,"message":…}`.
/// `file` must outlive all logging. Reopen it to rotate. The lines come from every thread, each by one write.
void log_errors_to(LogFile& file, LogFormat format) noexcept;

}  // namespace gateway::telemetry
