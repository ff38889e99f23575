#pragma once

#include "plugin/plugin.h"

namespace gateway::plugins::request_termination {

/// Answers every request, or those with a trigger, itself (Kong 3.9, request-termination).
[[nodiscard]] plugin::PluginType type();

}  // namespace gateway::plugins::request_termination
