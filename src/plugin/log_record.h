#pragma once

#include <nlohmann/json.hpp>

#include "plugin/exchange.h"

namespace gateway::plugin {

/// A finished request as logging plugins write it (Kong 3.9, serialised log record). Secrets in Authorization
/// headers are replaced.
[[nodiscard]] nlohmann::json log_record(const Record& record);

}  // namespace gateway::plugin
