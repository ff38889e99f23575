#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include "base/json.h"

#include "base/uuid.h"
#include "entity/route.h"

namespace gateway::entity {

/// One row of `plugins`: a plugin's name, its configuration and what it is bound to.
struct PluginConfig {
  Uuid id;
  std::string name;
  std::optional<Uuid> route;
  std::optional<Uuid> service;
  std::optional<Uuid> consumer;
  Protocols protocols = 0;
  bool enabled = true;
  nlohmann::json config;

  /// From a validated document, as the store keeps it.
  static PluginConfig from_json(const nlohmann::json& document);
};

}  // namespace gateway::entity
