#include "upstream/balancing/outliers.h"

#include <algorithm>
#include <cmath>

namespace gateway::upstream {
namespace {

double median_latency(std::span<const Observation> peers, unsigned min_requests) {
  std::vector<double> latencies;
  for (const Observation& peer : peers) {
    if (peer.answers >= min_requests) latencies.push_back(peer.mean_latency_ms);
  }
  // Of one peer alone nobody can say that it is slower than the others.
  if (latencies.size() < 2) return 0;
  // Of an even number the lower one: of two peers, the slow one is to be measured by the other.
  const auto middle = latencies.begin() + static_cast<std::ptrdiff_t>((latencies.size() - 1) / 2);
  std::nth_element(latencies.begin(), middle, latencies.end());
  return *middle;
}

}  // namespace

std::vector<std::size_t> outliers(std::span<const Observation> peers, const entity::OutlierDetection& rules) {
  struct Suspect {
    std::size_t index;
    double badness;  // how many times what is allowed
  };
  std::vector<Suspect> suspects;
  const double median = rules.latency_factor > 0 ? median_latency(peers, rules.min_requests) : 0;
  const double slowest = std::max(median * rules.latency_factor, static_cast<double>(rules.min_latency.count()));
  std::size_t out = 0;
  for (std::size_t i = 0; i < peers.size(); ++i) {
    const Observation& peer = peers[i];
    out += peer.out ? 1 : 0;
    if (peer.out || peer.requests < rules.min_requests) continue;
    double badness = 0;
    const double rate = 100.0 * peer.failures / peer.requests;
    if (rules.error_rate > 0 && rate >= rules.error_rate) badness = rate / rules.error_rate;
    const bool too_slow = median > 0 && peer.answers >= rules.min_requests && peer.mean_latency_ms > slowest;
    if (too_slow) badness = std::max(badness, peer.mean_latency_ms / slowest);
    if (badness > 0) suspects.push_back({i, badness});
  }
  std::stable_sort(suspects.begin(), suspects.end(), [](const Suspect& a, const Suspect& b) { return a.badness > b.badness; });
  // Where the share is less than one peer, one may go all the same: it would otherwise do nothing in small groups.
  auto most = static_cast<std::size_t>(std::floor(static_cast<double>(peers.size()) * rules.max_ejected / 100.0));
  if (rules.max_ejected > 0) most = std::max<std::size_t>(most, 1);
  if (!peers.empty()) most = std::min(most, peers.size() - 1);
  std::vector<std::size_t> chosen;
  for (const Suspect& suspect : suspects) {
    if (out + chosen.size() >= most) break;
    chosen.push_back(suspect.index);
  }
  return chosen;
}

}  // namespace gateway::upstream
