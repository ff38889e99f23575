#pragma once

#include "base/json.h"

#include "plugin/exchange.h"
#include "plugin/stream_session.h"

namespace gateway::plugin {

/// A finished request as logging plugins write it (Kong 3.9, serialised log record). Secrets in Authorization
/// headers are replaced.
[[nodiscard]] nlohmann::json log_record(const Record& record);
/// A finished stream, which has other members.
[[nodiscard]] nlohmann::json log_record(const StreamRecord& record);

}  // namespace gateway::plugin
