#pragma once

#include "plugin/plugin.h"

namespace gateway::plugins::rate_limiting {

/// Limits requests per calendar-aligned window (Kong 3.9, rate-limiting).
[[nodiscard]] plugin::PluginType type();

}  // namespace gateway::plugins::rate_limiting
