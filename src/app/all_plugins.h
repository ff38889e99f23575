#pragma once

#include <string>
#include <vector>

#include "plugin/plugin.h"

namespace gateway::app {

/// The plugins of this build that `names` asks for; "bundled" asks for all. Unknown names go to `unknown`.
[[nodiscard]] std::vector<plugin::PluginType> chosen_plugins(const std::vector<std::string>& names, std::vector<std::string>& unknown);

}  // namespace gateway::app
