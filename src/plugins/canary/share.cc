#include "plugins/canary/share.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include "base/json.h"

#include "upstream/balancing/ring_hash.h"

namespace gateway::plugins::canary {
namespace {

constexpr double usual_parts = 1000;
constexpr double most_parts = 1'000'000'000;

std::optional<double> number_of(const nlohmann::json& config, const char* name) {
  const auto found = config.find(name);
  return found != config.end() && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
}

double seconds_of(System::time_point time) { return std::chrono::duration<double>(time.time_since_epoch()).count(); }

}  // namespace

Share::Share(const nlohmann::json& config, System::time_point otherwise)
    : parts_(static_cast<std::uint32_t>(std::clamp(number_of(config, "steps").value_or(usual_parts), 1.0, most_parts))) {
  if (const std::optional<double> percentage = number_of(config, "percentage")) {
    fixed_ = true;
    // Not a part less because 14 percent of 50 are 7.000000000000001, nor one more.
    moved_ = static_cast<std::uint32_t>(std::ceil(parts_ * std::clamp(*percentage, 0.0, 100.0) / 100 - 1e-6));
    return;
  }
  start_ = number_of(config, "start").value_or(seconds_of(otherwise));
  duration_ = number_of(config, "duration").value_or(0);
}

std::uint32_t Share::moved(System::time_point now) const noexcept {
  if (fixed_) return moved_;
  const double passed = seconds_of(now) - start_;
  if (passed < 0) return 0;
  if (passed >= duration_) return parts_;
  return static_cast<std::uint32_t>(parts_ * (passed / duration_));
}

std::uint32_t part_of(std::string_view value, std::uint32_t parts) noexcept {
  // The same values are hashed onto the rings of upstreams: as they come, those that have moved would all lie in one
  // corner of the canary's ring. Source: MurmurHash3, final mix.
  std::uint32_t hash = upstream::ring_hash(value);
  hash ^= hash >> 16;
  hash *= 0x85ebca6bU;
  hash ^= hash >> 13;
  hash *= 0xc2b2ae35U;
  hash ^= hash >> 16;
  return static_cast<std::uint32_t>((std::uint64_t{hash} * parts) >> 32);
}

}  // namespace gateway::plugins::canary
