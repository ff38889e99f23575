#include "upstream/balancing/ejections.h"

#include <algorithm>
#include <vector>

#include "upstream/balancing/outliers.h"

namespace gateway::upstream {

void Ejections::look(std::span<const Peer> peers, const entity::OutlierDetection& rules, Steady::time_point now) {
  std::vector<Observation> seen;
  seen.reserve(peers.size());
  for (const Peer& peer : peers) {
    const PeerState::Window window = peer.state->take_window();
    Observation& one = seen.emplace_back();
    one.requests = window.requests;
    one.failures = window.failures;
    one.answers = window.answers;
    if (window.answers > 0) one.mean_latency_ms = static_cast<double>(window.latency_us) / window.answers / 1000;
    one.out = !peer.state->usable();
  }
  const std::vector<std::size_t> chosen = outliers(seen, rules);
  const auto is_chosen = [&](const PeerState* peer) {
    return std::any_of(chosen.begin(), chosen.end(), [&](std::size_t index) { return peers[index].state.get() == peer; });
  };
  for (auto& [peer, record] : records_) {
    if (!record.out && record.times > 0 && !is_chosen(peer)) --record.times;
  }
  for (const std::size_t index : chosen) {
    const std::shared_ptr<PeerState>& peer = peers[index].state;
    Record& record = records_[peer.get()];
    record.peer = peer;
    ++record.times;
    record.out = true;
    record.until = now + std::min(rules.ejection_time * record.times, rules.max_ejection_time);
    peer->eject();
  }
  std::erase_if(records_, [](const auto& each) { return !each.second.out && each.second.times == 0; });
}

void Ejections::readmit(Steady::time_point now) {
  for (auto& [peer, record] : records_) {
    if (!record.out) continue;
    // A mark by hand may have let it in before its time.
    if (record.peer->ejected() && now < record.until) continue;
    record.out = false;
    record.peer->readmit();
  }
}

void Ejections::end() {
  for (auto& [peer, record] : records_) record.peer->readmit();
  records_.clear();
}

}  // namespace gateway::upstream
