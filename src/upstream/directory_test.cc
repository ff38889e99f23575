#include "upstream/directory.h"

#include <gtest/gtest.h>

#include <map>

#include "upstream/balancing/ring_hash.h"

namespace gateway::upstream {
namespace {

Uuid id(unsigned number) {
  Uuid out;
  out.bytes[15] = static_cast<std::uint8_t>(number);
  return out;
}

entity::Upstream upstream(unsigned number, const std::string& name) {
  entity::Upstream out;
  out.id = id(number);
  out.name = name;
  out.health.passive.tcp_failures = 1;
  return out;
}

entity::Target target(unsigned number, unsigned upstream, const std::string& name, unsigned weight = 100) {
  entity::Target out;
  out.id = id(number);
  out.upstream = id(upstream);
  out.name = name;
  out.port = 80;
  out.weight = weight;
  return out;
}

// The loop does not turn: nothing but what is asked for happens.
class DirectoryTest : public testing::Test {
 protected:
  static net::Resolver::Options no_dns() {
    net::Resolver::Options options;
    options.servers = {"127.0.0.1:9"};
    options.hosts_file.clear();
    return options;
  }
  ~DirectoryTest() override { directory.stop({}); }

  [[nodiscard]] std::vector<std::string> hosts(const std::string& name) const {
    std::vector<std::string> out;
    for (const Peer& peer : balancers.at(name)->peers()) out.push_back(peer.host);
    return out;
  }
  [[nodiscard]] bool usable(const std::string& name, std::size_t peer) const { return balancers.at(name)->peers()[peer].state->usable(); }

  std::map<std::string, std::shared_ptr<const Balancer>> balancers;
  net::Loop loop;
  Directory directory{loop, no_dns(),
                      [this](const std::string& name, std::shared_ptr<const Balancer> balancer) {
                        if (balancer) {
                          balancers[name] = std::move(balancer);
                        } else {
                          balancers.erase(name);
                        }
                      },
                      [](const Uuid&) { return tls::ServerCertificatePtr(); }};
};

TEST_F(DirectoryTest, PublishesWhatIsThereAndItsEnd) {
  directory.set_upstream(upstream(1, "a"));
  directory.set_target(target(11, 1, "10.0.0.2"));
  directory.set_target(target(12, 1, "10.0.0.1"));
  directory.set_target(target(13, 1, "10.0.0.3", 0));
  directory.flush();
  EXPECT_EQ(hosts("a"), (std::vector<std::string>{"10.0.0.1", "10.0.0.2"}));
  directory.erase_target(id(12));
  directory.flush();
  EXPECT_EQ(hosts("a"), std::vector<std::string>{"10.0.0.2"});
  directory.erase_upstream(id(1));
  EXPECT_TRUE(balancers.empty());
}

TEST_F(DirectoryTest, KnowsATargetThatReturns) {
  directory.set_upstream(upstream(1, "a"));
  directory.set_target(target(11, 1, "10.0.0.1"));
  directory.flush();
  balancers.at("a")->failed(balancers.at("a")->peers()[0], Event::tcp_failure);
  EXPECT_FALSE(usable("a", 0));
  directory.erase_target(id(11));
  directory.flush();
  directory.set_target(target(12, 1, "10.0.0.1"));
  directory.flush();
  EXPECT_FALSE(usable("a", 0));
  EXPECT_EQ(directory.mark(target(12, 1, "10.0.0.1"), "", true), "");
  EXPECT_TRUE(usable("a", 0));
}

TEST_F(DirectoryTest, ANameThatIsGivenUpMayBeTakenAtOnce) {
  directory.set_upstream(upstream(1, "a"));
  directory.set_target(target(11, 1, "10.0.0.1"));
  directory.flush();
  directory.set_upstream(upstream(2, "a"));
  directory.set_target(target(12, 2, "10.0.0.2"));
  directory.set_upstream(upstream(1, "b"));
  directory.flush();
  EXPECT_EQ(hosts("a"), std::vector<std::string>{"10.0.0.2"});
  EXPECT_EQ(hosts("b"), std::vector<std::string>{"10.0.0.1"});
}

TEST_F(DirectoryTest, ATargetMayMoveToAnotherUpstream) {
  directory.set_upstream(upstream(1, "a"));
  directory.set_upstream(upstream(2, "b"));
  directory.set_target(target(11, 1, "10.0.0.1"));
  directory.flush();
  directory.set_target(target(11, 2, "10.0.0.1"));
  directory.set_target(target(12, 9, "10.0.0.9"));  // of none that there is
  directory.flush();
  EXPECT_TRUE(hosts("a").empty());
  EXPECT_EQ(hosts("b"), std::vector<std::string>{"10.0.0.1"});
}

TEST_F(DirectoryTest, MakesTheSameRingInWhateverOrderTargetsCome) {
  const auto chosen = [&](unsigned number, const std::string& name, std::vector<unsigned> order) {
    entity::Upstream hashing = upstream(number, name);
    hashing.algorithm = entity::Algorithm::consistent_hashing;
    directory.set_upstream(hashing);
    for (const unsigned each : order) directory.set_target(target(10 * number + each, number, "10.0.0." + std::to_string(each)));
    directory.flush();
    std::vector<std::string> out;
    for (int i = 0; i < 200; ++i) out.push_back(balancers.at(name)->pick(ring_hash(std::to_string(i)), {})->host);
    return out;
  };
  EXPECT_EQ(chosen(1, "a", {1, 2, 3, 4}), chosen(2, "b", {4, 2, 1, 3}));
}

TEST_F(DirectoryTest, TellsThatNamesAreStillLookedUp) {
  directory.set_upstream(upstream(1, "a"));
  directory.set_target(target(11, 1, "10.0.0.1"));
  directory.set_target(target(12, 1, "name.test"));
  directory.flush();
  EXPECT_EQ(hosts("a"), std::vector<std::string>{"10.0.0.1"});
  EXPECT_TRUE(balancers.at("a")->settling());
  directory.erase_target(id(12));
  directory.flush();
  EXPECT_FALSE(balancers.at("a")->settling());
}

TEST_F(DirectoryTest, TellsHealthOfTargetsAndOfTheWhole) {
  directory.set_upstream(upstream(1, "a"));
  directory.set_target(target(11, 1, "10.0.0.1", 30));
  directory.set_target(target(12, 1, "10.0.0.2", 70));
  EXPECT_EQ(directory.mark(target(12, 1, "10.0.0.2"), "10.0.0.2:80", false), "");
  EXPECT_EQ(directory.mark(target(12, 1, "10.0.0.2"), "10.0.0.2:81", false), "target not found");
  const std::optional<UpstreamHealth> health = directory.health(id(1));
  ASSERT_TRUE(health);
  EXPECT_TRUE(health->healthy);
  EXPECT_EQ(health->weights.total, 100U);
  EXPECT_EQ(health->weights.available, 30U);
  EXPECT_FALSE(directory.health(id(2)));
}

}  // namespace
}  // namespace gateway::upstream
