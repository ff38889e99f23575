#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "upstream/balancing/balancer.h"

namespace gateway::upstream {

/// Peers 10.0.0.1:80 and so on, for tests and benchmarks.
inline std::vector<Peer> make_peers(const std::shared_ptr<Group>& group, const std::vector<unsigned>& weights) {
  std::vector<Peer> peers;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    Peer peer;
    peer.host = "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1);
    peer.address = *net::SocketAddress::from_ip(peer.host, 80);
    peer.host_with_port = peer.host + ":80";
    peer.weight = weights[i];
    peer.state = std::make_shared<PeerState>(group, peer.host, peer.address);
    peers.push_back(std::move(peer));
  }
  return peers;
}

struct TestBalancer {
  explicit TestBalancer(entity::Algorithm algorithm, const std::vector<unsigned>& weights, entity::Upstream upstream = {}) {
    upstream.algorithm = algorithm;
    group = std::make_shared<Group>("test");
    if (upstream.outliers) group->slow_start_ms = upstream.outliers->slow_start.count();
    balancer.emplace(std::make_shared<const entity::Upstream>(std::move(upstream)), group, make_peers(group, weights), weights.size());
  }

  const Peer* pick(std::uint32_t hash = 0) const { return balancer->pick(hash, {}); }
  PeerState& state(std::size_t i) const { return *balancer->peers()[i].state; }
  std::size_t index(const Peer* peer) const { return static_cast<std::size_t>(peer - balancer->peers().data()); }
  /// How often each is picked in so many picks; null picks are not counted.
  std::vector<unsigned> share(unsigned picks) const {
    std::vector<unsigned> out(balancer->peers().size());
    for (unsigned i = 0; i < picks; ++i) {
      if (const Peer* peer = pick(i * 2654435761U)) ++out[index(peer)];
    }
    return out;
  }

  std::shared_ptr<Group> group;
  std::optional<Balancer> balancer;
};

}  // namespace gateway::upstream
