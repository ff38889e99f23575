#include "app/all_plugins.h"

#include <algorithm>

#include "plugins/acl/acl.h"
#include "plugins/canary/canary.h"
#include "plugins/correlation_id/correlation_id.h"
#include "plugins/file_log/file_log.h"
#include "plugins/key_auth/key_auth.h"
#include "plugins/rate_limiting/rate_limiting.h"
#include "plugins/request_termination/request_termination.h"

namespace gateway::app {
namespace {

std::vector<plugin::PluginType> all_plugins() {
  return {
      plugins::acl::type(),      plugins::canary::type(),        plugins::correlation_id::type(),      plugins::file_log::type(),
      plugins::key_auth::type(), plugins::rate_limiting::type(), plugins::request_termination::type(),
  };
}

}  // namespace

std::vector<plugin::PluginType> chosen_plugins(const std::vector<std::string>& names, std::vector<std::string>& unknown) {
  std::vector<plugin::PluginType> all = all_plugins();
  if (names.empty() || names.front() == "off") return {};
  if (std::find(names.begin(), names.end(), "bundled") != names.end()) {
    for (const std::string& name : names) {
      const bool known = name == "bundled" || name == "off" || std::any_of(all.begin(), all.end(), [&](const auto& type) { return type.name == name; });
      if (!known) unknown.push_back(name);
    }
    return all;
  }
  std::vector<plugin::PluginType> chosen;
  for (const std::string& name : names) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const auto& type) { return type.name == name; });
    if (found != all.end()) {
      chosen.push_back(*found);
    } else if (name != "off") {
      unknown.push_back(name);
    }
  }
  return chosen;
}

}  // namespace gateway::app
