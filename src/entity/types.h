#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "entity/type.h"
#include "schema/record.h"

namespace gateway::entity {

using TypePtr = std::shared_ptr<const Type>;

/// The router's flavour changes what a route may hold (wildcards in snis).
enum class RouteRules { traditional, traditional_compatible };

[[nodiscard]] TypePtr certificates_type();
[[nodiscard]] TypePtr snis_type();
[[nodiscard]] TypePtr ca_certificates_type();
[[nodiscard]] TypePtr services_type();
[[nodiscard]] TypePtr routes_type(RouteRules rules);
[[nodiscard]] TypePtr upstreams_type();
[[nodiscard]] TypePtr targets_type();
[[nodiscard]] TypePtr consumers_type();
/// `plugins`: name and what its rows hold besides what all plugins' rows do.
[[nodiscard]] TypePtr plugins_type(const std::vector<std::pair<std::string, std::shared_ptr<const schema::Record>>>& plugins);

}  // namespace gateway::entity
