#include <gtest/gtest.h>

#include "base/test_allocations.h"
#include "upstream/balancing/ring_hash.h"
#include "upstream/balancing/test_peers.h"

namespace gateway::upstream {
namespace {

TEST(Allocations, APickAndWhatItLeadsToTakeNoMemory) {
  using entity::Algorithm;
  entity::Upstream upstream;
  upstream.health.threshold = 10;
  upstream.health.passive = {{200}, {500}, 200, 200, 200, 200};
  upstream.outliers.emplace();
  for (const Algorithm algorithm : {Algorithm::round_robin, Algorithm::consistent_hashing, Algorithm::least_connections, Algorithm::latency}) {
    for (const std::size_t count : {std::size_t{3}, std::size_t{1000}}) {
      const TestBalancer among(algorithm, std::vector<unsigned>(count, 100), upstream);
      const PeerState* tried[] = {among.pick()->state.get()};
      allocations::count = 0;
      allocations::counting = true;
      for (int i = 0; i < 100; ++i) {
        const Peer* peer = among.balancer->pick(ring_hash("somebody"), tried);
        among.balancer->answered(*peer, i % 2 == 0 ? 200 : 500, std::chrono::milliseconds(1));
        among.balancer->failed(*peer, Event::timeout);
      }
      allocations::counting = false;
      EXPECT_EQ(allocations::count, 0) << static_cast<int>(algorithm) << " of " << count;
    }
  }
}

}  // namespace
}  // namespace gateway::upstream
