#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gateway::upstream {

/// The order of smooth weighted round-robin, worked out beforehand: each index as often as its weight says, and as evenly
/// spread as can be. Weights are divided by what they have in common; where more than `most` entries would be needed, small
/// weights count for somewhat more than they are (at least one entry each).
[[nodiscard]] std::vector<std::uint32_t> make_wheel(std::span<const unsigned> weights, std::size_t most = 65536);

}  // namespace gateway::upstream
