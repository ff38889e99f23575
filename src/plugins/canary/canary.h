#pragma once

#include "plugin/plugin.h"

namespace gateway::plugins::canary {

/// Moves a share of the requests from their service to another place: a fixed one, one that grows with time, or those of
/// consumers in groups. Source: the documentation of Kong's canary plugin, 3.9.
[[nodiscard]] plugin::PluginType type();

}  // namespace gateway::plugins::canary
