#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "entity/upstream.h"

namespace gateway::upstream {

/// What one peer did since the last look.
struct Observation {
  unsigned requests = 0;
  unsigned failures = 0;
  unsigned answers = 0;
  double mean_latency_ms = 0;  ///< of the answers
  bool out = false;            ///< it is left out already, or unhealthy
};

/// Which peers are to be left out now, worst first: those that fail more often, or are slower, than the rules allow. Never
/// more than their share together with those that are out already, and never the last one.
[[nodiscard]] std::vector<std::size_t> outliers(std::span<const Observation> peers, const entity::OutlierDetection& rules);

}  // namespace gateway::upstream
