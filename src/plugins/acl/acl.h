#pragma once

#include "plugin/plugin.h"

namespace gateway::plugins::acl {

/// Lets consumers through, or keeps them out, by the groups they belong to (Kong 3.9, acl).
[[nodiscard]] plugin::PluginType type();

}  // namespace gateway::plugins::acl
