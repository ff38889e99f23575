#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/uuid.h"
#include "entity/target.h"

namespace gateway::upstream {

struct AddressHealth {
  std::string ip;
  std::uint16_t port = 0;
  unsigned weight = 0;
  bool healthy = true;
};

struct Weights {
  unsigned total = 0;
  unsigned available = 0;
};

struct TargetHealth {
  std::string host;
  std::uint16_t port = 0;
  std::string dns;             ///< the kind of record its addresses are from, or why there are none
  unsigned target_weight = 0;  ///< as configured
  Weights weights;             ///< of its addresses
  std::vector<AddressHealth> addresses;
};

struct UpstreamHealth {
  bool checked = false;  ///< something can make a target unhealthy
  bool healthy = false;  ///< enough of it is available
  Weights weights;
  std::vector<TargetHealth> targets;
};

/// What the Admin API asks, and tells, the one who looks after the peers of upstreams. Control thread only.
class HealthBook {
 public:
  virtual ~HealthBook() = default;

  /// Nullopt: no such upstream.
  [[nodiscard]] virtual std::optional<UpstreamHealth> health(const Uuid& upstream) const = 0;

  /// By hand, whatever the checks say until they say something new. `address`: "ip:port" of one of the target's addresses;
  /// empty: all of them. Returns why that cannot be done; empty when it was.
  [[nodiscard]] virtual std::string mark(const entity::Target& target, const std::string& address, bool healthy) = 0;
};

}  // namespace gateway::upstream
