#pragma once

#include "plugin/plugin.h"

namespace gateway::plugins::key_auth {

/// Authenticates by a key in a header, the query string or the body (Kong 3.9, key-auth).
[[nodiscard]] plugin::PluginType type();

}  // namespace gateway::plugins::key_auth
