#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "base/clock.h"

namespace gateway::plugins::canary {

/// How many of the parts that requests are divided into go to the canary. It never falls while time goes on, so that
/// whoever has moved once does not come back.
class Share {
 public:
  /// `otherwise`: when a share that grows begins, should the configuration not say.
  Share(const nlohmann::json& config, System::time_point otherwise);

  [[nodiscard]] std::uint32_t parts() const noexcept { return parts_; }
  [[nodiscard]] bool fixed() const noexcept { return fixed_; }
  /// `now` does not matter where the share is fixed.
  [[nodiscard]] std::uint32_t moved(System::time_point now) const noexcept;

 private:
  std::uint32_t parts_;
  bool fixed_ = false;
  std::uint32_t moved_ = 0;  // where fixed
  double start_ = 0;         // seconds since 1970
  double duration_ = 0;      // seconds
};

/// Which of the parts a value belongs to, on every node and in every run alike.
[[nodiscard]] std::uint32_t part_of(std::string_view value, std::uint32_t parts) noexcept;

}  // namespace gateway::plugins::canary
