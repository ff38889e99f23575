#pragma once

#include "plugin/plugin.h"

namespace gateway::plugins::file_log {

/// Appends a JSON record of every request and every stream to a file (Kong 3.9, file-log).
[[nodiscard]] plugin::PluginType type();

}  // namespace gateway::plugins::file_log
