#include "upstream/balancing/balancer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "upstream/balancing/ring_hash.h"
#include "upstream/balancing/test_peers.h"
#include "upstream/balancing/wheel.h"

namespace gateway::upstream {
namespace {

using entity::Algorithm;
using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::Ge;
using testing::Le;
using Counts = std::vector<unsigned>;

const std::vector<Algorithm> every_algorithm = {Algorithm::round_robin, Algorithm::consistent_hashing, Algorithm::least_connections, Algorithm::latency};

entity::Upstream with_threshold(double percent) {
  entity::Upstream upstream;
  upstream.health.threshold = percent;
  return upstream;
}

TEST(Wheel, HasEachAsOftenAsItsWeightSays) {
  const std::vector<std::uint32_t> wheel = make_wheel(std::vector<unsigned>{50, 30, 0, 20});
  EXPECT_EQ(wheel.size(), 10U);
  EXPECT_EQ(std::count(wheel.begin(), wheel.end(), 0U), 5);
  EXPECT_EQ(std::count(wheel.begin(), wheel.end(), 1U), 3);
  EXPECT_EQ(std::count(wheel.begin(), wheel.end(), 2U), 0);
}

TEST(Wheel, IsSmooth) {
  // The heavy one never runs more than once ahead of its share.
  const std::vector<std::uint32_t> wheel = make_wheel(std::vector<unsigned>{5, 1, 1});
  double run = 0;
  for (std::size_t i = 0; i < wheel.size(); ++i) {
    run += wheel[i] == 0 ? 1 : 0;
    EXPECT_NEAR(run, static_cast<double>(i + 1) * 5 / 7, 1.0) << i;
  }
}

TEST(Wheel, IsNoLargerThanItMayBeAndForgetsNobody) {
  std::vector<unsigned> weights(1000, 65535);
  weights[7] = 1;
  weights[8] = 32768;
  const std::vector<std::uint32_t> wheel = make_wheel(weights);
  EXPECT_LE(wheel.size(), 65536U + weights.size());
  EXPECT_EQ(std::set<std::uint32_t>(wheel.begin(), wheel.end()).size(), weights.size());
  EXPECT_TRUE(make_wheel(std::vector<unsigned>{}).empty());
  EXPECT_TRUE(make_wheel(std::vector<unsigned>{0, 0}).empty());
}

TEST(RingHash, IsXxh32) {
  EXPECT_EQ(ring_hash(""), 0x02CC5D05U);
  EXPECT_EQ(ring_hash("a"), 0x550D7456U);
  EXPECT_EQ(ring_hash("abc"), 0x32D153FFU);
  EXPECT_EQ(ring_hash("Nobody inspects the spammish repetition"), 0xE2293B2FU);
}

TEST(RoundRobin, GivesEachItsExactShare) {
  const TestBalancer balancer(Algorithm::round_robin, {50, 30, 20});
  EXPECT_THAT(balancer.share(1000), ElementsAre(500U, 300U, 200U));
}

TEST(RoundRobin, SharesWhatAPeerCannotTake) {
  const TestBalancer balancer(Algorithm::round_robin, {100, 100, 100});
  balancer.state(1).mark(false);
  // Not all of it goes to the one that comes behind.
  EXPECT_THAT(balancer.share(1000), ElementsAre(500U, 0U, 500U));
}

TEST(RoundRobin, IsExactAcrossThreads) {
  const TestBalancer balancer(Algorithm::round_robin, {3, 1});
  std::array<Counts, 2> counts;
  std::vector<std::thread> threads;
  for (Counts& each : counts) threads.emplace_back([&] { each = balancer.share(4000); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counts[0][0] + counts[1][0], 6000U);
  EXPECT_EQ(counts[0][1] + counts[1][1], 2000U);
}

TEST(RoundRobin, FindsTheOneOfAThousandThatIsLeft) {
  const TestBalancer balancer(Algorithm::round_robin, Counts(1000, 100));
  for (std::size_t i = 0; i < 1000; ++i) {
    if (i != 777) balancer.state(i).mark(false);
  }
  for (int i = 0; i < 10; ++i) EXPECT_EQ(balancer.index(balancer.pick()), 777U);
}

TEST(ConsistentHashing, SendsLikeToLikeAndSpreadsTheRest) {
  const TestBalancer balancer(Algorithm::consistent_hashing, {100, 100, 100, 100});
  const TestBalancer same(Algorithm::consistent_hashing, {100, 100, 100, 100});
  Counts share(4);
  for (int i = 0; i < 10000; ++i) {
    const std::uint32_t hash = ring_hash("user-" + std::to_string(i));
    const std::size_t index = balancer.index(balancer.pick(hash));
    ASSERT_EQ(index, same.index(same.pick(hash)));
    ++share[index];
  }
  EXPECT_THAT(share, Each(AllOf(Ge(1800U), Le(3200U))));
}

TEST(ConsistentHashing, MovesOnlyWhatAPeerHadWhenItGoes) {
  const TestBalancer before(Algorithm::consistent_hashing, {100, 100, 100, 100, 100});
  const TestBalancer after(Algorithm::consistent_hashing, {100, 100, 100, 100});
  unsigned moved = 0;
  for (int i = 0; i < 10000; ++i) {
    const std::uint32_t hash = ring_hash("user-" + std::to_string(i));
    const std::size_t was = before.index(before.pick(hash));
    const std::size_t is = after.index(after.pick(hash));
    // The shares of those that stay are counted anew, which moves a few more.
    moved += was != 4 && was != is ? 1 : 0;
  }
  EXPECT_LT(moved, 1000U);
}

TEST(ConsistentHashing, GoesRoundTheRingWhenAPeerIsDownOrWasTried) {
  const TestBalancer balancer(Algorithm::consistent_hashing, {100, 100, 100});
  const std::uint32_t hash = ring_hash("alice");
  const Peer* first = balancer.pick(hash);
  const PeerState* tried[] = {first->state.get(), nullptr};
  const Peer* second = balancer.balancer->pick(hash, {tried, 1});
  EXPECT_NE(second, first);
  first->state->mark(false);
  EXPECT_EQ(balancer.pick(hash), second);
  first->state->mark(true);
  EXPECT_EQ(balancer.pick(hash), first);
}

TEST(ConsistentHashing, GivesWeightsTheirShare) {
  const TestBalancer balancer(Algorithm::consistent_hashing, {300, 100});
  Counts share(2);
  for (int i = 0; i < 10000; ++i) ++share[balancer.index(balancer.pick(ring_hash(std::to_string(i))))];
  EXPECT_THAT(share[0], AllOf(Ge(6500U), Le(8500U)));
}

TEST(ConsistentHashing, ServesAllWhereTheRingWouldRunOver) {
  const TestBalancer balancer(Algorithm::consistent_hashing, Counts(500, 100));  // 80,000 points, 10,000 slots
  Counts share(500);
  for (int i = 0; i < 100000; ++i) ++share[balancer.index(balancer.pick(ring_hash(std::to_string(i))))];
  EXPECT_THAT(share, Each(AllOf(Ge(20U), Le(800U))));  // 200 on average, with some 14 points each
}

TEST(ConsistentHashing, MorePeersThanPointsIsNoEnd) {
  entity::Upstream upstream;
  upstream.slots = 10;  // counts as 1000
  const TestBalancer balancer(Algorithm::consistent_hashing, Counts(3000, 100), upstream);
  EXPECT_NE(balancer.pick(12345), nullptr);
}

TEST(LeastConnections, TakesTheOneWithLeastToDo) {
  const TestBalancer balancer(Algorithm::least_connections, {100, 100, 100});
  balancer.state(0).in_flight = 2;
  balancer.state(1).in_flight = 1;
  balancer.state(2).in_flight = 2;
  for (int i = 0; i < 20; ++i) EXPECT_EQ(balancer.index(balancer.pick()), 1U);
}

TEST(LeastConnections, CountsWeights) {
  const TestBalancer balancer(Algorithm::least_connections, {300, 100});
  for (int i = 0; i < 400; ++i) ++balancer.balancer->pick(0, {})->state->in_flight;
  EXPECT_EQ(balancer.state(0).in_flight, 300U);
}

TEST(LeastConnections, OfManyItTakesNoneThatIsBusy) {
  const TestBalancer balancer(Algorithm::least_connections, Counts(1000, 100));
  for (int i = 0; i < 20000; ++i) ++balancer.balancer->pick(0, {})->state->in_flight;
  std::uint32_t most = 0;
  for (std::size_t i = 0; i < 1000; ++i) most = std::max(most, balancer.state(i).in_flight.load());
  // 20 on average; drawn without looking the fullest would have some 35.
  EXPECT_LE(most, 25U);
}

TEST(Latency, PrefersTheQuickOne) {
  const TestBalancer balancer(Algorithm::latency, {100, 100});
  balancer.state(0).observe(std::chrono::milliseconds(100));
  balancer.state(1).observe(std::chrono::milliseconds(2));
  EXPECT_EQ(balancer.share(100)[0], 0U);
}

TEST(Latency, BadNewsCountAtOnceAndRequestsOnTheirWayToo) {
  const TestBalancer balancer(Algorithm::latency, {100, 100});
  balancer.state(0).observe(std::chrono::milliseconds(2));
  balancer.state(1).observe(std::chrono::milliseconds(3));
  balancer.state(0).in_flight = 5;
  EXPECT_EQ(balancer.index(balancer.pick()), 1U);
  balancer.state(0).in_flight = 0;
  EXPECT_EQ(balancer.index(balancer.pick()), 0U);
  balancer.state(0).observe(std::chrono::milliseconds(50));
  EXPECT_EQ(balancer.index(balancer.pick()), 1U);
}

TEST(Balancer, NeverPicksWhatCannotBeUsed) {
  for (const Algorithm algorithm : every_algorithm) {
    const TestBalancer balancer(algorithm, {100, 100, 100, 100});
    balancer.state(1).mark(false);
    balancer.state(2).eject();
    const Counts share = balancer.share(1000);
    EXPECT_EQ(share[1] + share[2], 0U);
    EXPECT_EQ(share[0] + share[3], 1000U);
    balancer.state(0).mark(false);
    balancer.state(3).mark(false);
    EXPECT_EQ(balancer.pick(), nullptr);
    balancer.state(2).readmit();
    EXPECT_EQ(balancer.index(balancer.pick()), 2U);
  }
}

TEST(Balancer, TriesAnotherPeerAsLongAsThereIsOne) {
  for (const Algorithm algorithm : every_algorithm) {
    const TestBalancer balancer(algorithm, {100, 100, 100});
    for (int round = 0; round < 50; ++round) {
      std::vector<const PeerState*> tried;
      for (int i = 0; i < 3; ++i) tried.push_back(balancer.balancer->pick(7, tried)->state.get());
      EXPECT_EQ(std::set<const PeerState*>(tried.begin(), tried.end()).size(), 3U);
      EXPECT_NE(balancer.balancer->pick(7, tried), nullptr);  // all were: any will do
    }
  }
}

TEST(Balancer, WithoutPeersHasNone) {
  for (const Algorithm algorithm : every_algorithm) EXPECT_EQ(TestBalancer(algorithm, {}).pick(), nullptr);
}

TEST(Balancer, BelowItsThresholdIsNotUsed) {
  const TestBalancer balancer(Algorithm::round_robin, {100, 100, 100, 100}, with_threshold(50));
  balancer.state(0).mark(false);
  EXPECT_NE(balancer.pick(), nullptr);
  balancer.state(1).mark(false);  // half of the weight is not more than 50 percent
  EXPECT_EQ(balancer.pick(), nullptr);
  balancer.state(0).mark(true);
  EXPECT_NE(balancer.pick(), nullptr);
}

// Elsewhere the sums were kept up by events, and wrong once an unhealthy target was removed.
TEST(Balancer, CountsWeightsOfThePeersItHasAlone) {
  auto group = std::make_shared<Group>("test");
  std::vector<Peer> peers = make_peers(group, {100, 100, 100});
  auto upstream = std::make_shared<const entity::Upstream>(with_threshold(60));
  const Balancer three(upstream, group, peers, 3);
  peers[0].state->mark(false);
  EXPECT_EQ(three.available_weight(), 200U);
  peers.erase(peers.begin());
  const Balancer two(upstream, group, peers, 2);
  EXPECT_EQ(two.available_weight(), 200U);
  EXPECT_EQ(two.total_weight(), 200U);
  EXPECT_TRUE(two.healthy());
}

TEST(Balancer, KnowsWhatItsPredecessorKnew) {
  auto group = std::make_shared<Group>("test");
  const std::vector<Peer> peers = make_peers(group, {100, 100});
  auto upstream = std::make_shared<const entity::Upstream>();
  const Balancer before(upstream, group, peers, 2);
  const Balancer after(upstream, group, peers, 2);
  before.peers()[0].state->mark(false);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(after.pick(0, {}), &after.peers()[1]);
}

entity::Upstream with_passive(std::uint8_t limit) {
  entity::Upstream upstream;
  upstream.health.passive = {{200}, {500, 503}, 0, limit, limit, limit};
  return upstream;
}

TEST(PassiveChecks, CountStatusesAndFailures) {
  const TestBalancer balancer(Algorithm::round_robin, {1, 1, 1, 1, 1}, with_passive(2));
  const auto twice = [&](std::size_t peer, auto what) {
    what(balancer.balancer->peers()[peer]);
    EXPECT_TRUE(balancer.state(peer).usable());
    what(balancer.balancer->peers()[peer]);
  };
  twice(0, [&](const Peer& peer) { balancer.balancer->answered(peer, 503, {}); });
  twice(1, [&](const Peer& peer) { balancer.balancer->failed(peer, Event::tcp_failure); });
  twice(2, [&](const Peer& peer) { balancer.balancer->failed(peer, Event::timeout); });
  twice(3, [&](const Peer& peer) { balancer.balancer->answered(peer, 404, {}); });
  twice(4, [&](const Peer& peer) { balancer.balancer->answered(peer, 504, {}); });
  EXPECT_FALSE(balancer.state(0).usable());
  EXPECT_FALSE(balancer.state(1).usable());
  EXPECT_FALSE(balancer.state(2).usable());
  EXPECT_TRUE(balancer.state(3).usable());  // in neither list
  EXPECT_FALSE(balancer.state(4).usable());
  EXPECT_EQ(balancer.state(4).health().timeouts, 2);
  EXPECT_EQ(balancer.state(4).health().http_failures, 0);
}

TEST(PassiveChecks, WithoutLimitsTellNothing) {
  const TestBalancer balancer(Algorithm::round_robin, {1}, with_passive(0));
  for (int i = 0; i < 1000; ++i) balancer.balancer->failed(balancer.balancer->peers()[0], Event::tcp_failure);
  EXPECT_EQ(balancer.state(0).health(), Health{});
}

TEST(PassiveChecks, LoseNoEventBetweenThreads) {
  const TestBalancer balancer(Algorithm::round_robin, {1}, with_passive(200));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 49; ++i) balancer.balancer->failed(balancer.balancer->peers()[0], Event::tcp_failure);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(balancer.state(0).health().tcp_failures, 196);
  EXPECT_TRUE(balancer.state(0).usable());
}

TEST(SlowStart, GivesAPeerThatReturnsAGrowingShare) {
  entity::Upstream upstream;
  upstream.outliers.emplace().slow_start = std::chrono::hours(1);
  const TestBalancer balancer(Algorithm::round_robin, {100, 100}, upstream);
  balancer.state(0).eject();
  balancer.state(0).readmit();
  const unsigned share = balancer.share(10000)[0];
  EXPECT_GT(share, 300U);
  EXPECT_LT(share, 1500U);
  balancer.state(1).mark(false);
  EXPECT_EQ(balancer.share(100)[0], 100U);  // nobody else is left
}

TEST(HostHeader, HasThePortUnlessItIsTheProtocolsOwn) {
  const TestBalancer balancer(Algorithm::round_robin, {1});
  EXPECT_EQ(balancer.pick()->host_header(entity::Protocol::http), "10.0.0.1");
  EXPECT_EQ(balancer.pick()->host_header(entity::Protocol::https), "10.0.0.1:80");
}

}  // namespace
}  // namespace gateway::upstream
