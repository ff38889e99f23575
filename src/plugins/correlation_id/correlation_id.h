#pragma once

#include "plugin/plugin.h"

namespace gateway::plugins::correlation_id {

/// Gives every request an id its upstream, its client and its log record share (Kong 3.9, correlation-id).
[[nodiscard]] plugin::PluginType type();

}  // namespace gateway::plugins::correlation_id
