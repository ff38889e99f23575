#include "upstream/balancing/wheel.h"

#include <algorithm>
#include <numeric>

namespace gateway::upstream {

std::vector<std::uint32_t> make_wheel(std::span<const unsigned> weights, std::size_t most) {
  unsigned common = 0;
  std::uint64_t total = 0;
  for (const unsigned weight : weights) {
    common = std::gcd(common, weight);
    total += weight;
  }
  if (total == 0) return {};
  total /= common;
  // Entry k of n is due at (k + 0.5) / n of the way round: in the order of being due they are spread evenly.
  struct Entry {
    double due;
    std::uint32_t index;
  };
  std::vector<Entry> entries;
  entries.reserve(std::min<std::uint64_t>(total, most) + weights.size());
  for (std::uint32_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0) continue;
    std::uint64_t count = weights[i] / common;
    if (total > most) count = std::max<std::uint64_t>(1, count * most / total);
    for (std::uint64_t k = 0; k < count; ++k) entries.push_back({(static_cast<double>(k) + 0.5) / static_cast<double>(count), i});
  }
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.due < b.due; });
  std::vector<std::uint32_t> wheel;
  wheel.reserve(entries.size());
  for (const Entry& entry : entries) wheel.push_back(entry.index);
  return wheel;
}

}  // namespace gateway::upstream
