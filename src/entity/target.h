#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/uuid.h"

namespace gateway::entity {

/// A place where requests for an upstream go: a name or an address, and a port. Kong 3.9 entity `targets`.
struct Target {
  Uuid id;
  Uuid upstream;
  std::string name;  ///< a host name, or an address: IPv6 in brackets
  std::uint16_t port = 8000;
  unsigned weight = 100;  ///< 0 takes no requests
  double created_at = 0;  ///< seconds since 1970

  /// "name:port", as the row says it
  [[nodiscard]] std::string text() const { return name + ':' + std::to_string(port); }

  /// From a validated document, as the store keeps it.
  static Target from_json(const nlohmann::json& document);
};

/// The one way to write a target: "host" gets ":8000", an IPv6 address all of its digits and brackets. Nullopt: it is
/// neither a host name nor an address. Source: Kong 3.9, targets.
[[nodiscard]] std::optional<std::string> normalised_target(std::string_view text);

}  // namespace gateway::entity
