#include "upstream/balancing/ejections.h"

#include <gtest/gtest.h>

#include "upstream/balancing/test_peers.h"

namespace gateway::upstream {
namespace {

using std::chrono::seconds;

class EjectionsTest : public testing::Test {
 protected:
  static entity::Upstream configured() {
    entity::Upstream upstream;
    upstream.outliers.emplace();
    return upstream;
  }
  void serve(std::size_t peer, unsigned status, int times = 20) {
    for (int i = 0; i < times; ++i) among.balancer->answered(among.balancer->peers()[peer], status, std::chrono::milliseconds(1));
  }
  void look() { ejections.look(among.balancer->peers(), *among.balancer->upstream().outliers, now); }
  void pass(seconds time) {
    now += time;
    ejections.readmit(now);
  }

  TestBalancer among{entity::Algorithm::round_robin, {1, 1, 1}, configured()};
  Ejections ejections;
  Steady::time_point now{};
};

TEST_F(EjectionsTest, LeavesOutWhoFailsAndLetsItBackIn) {
  serve(0, 500);
  serve(1, 200);
  serve(2, 200);
  look();
  EXPECT_FALSE(among.state(0).usable());
  EXPECT_TRUE(among.state(1).usable());
  pass(seconds(29));
  EXPECT_FALSE(among.state(0).usable());
  pass(seconds(1));
  EXPECT_TRUE(among.state(0).usable());
}

TEST_F(EjectionsTest, LeavesOutLongerWhoFailsAgain) {
  serve(0, 500);
  look();
  pass(seconds(30));
  serve(0, 500);
  look();
  pass(seconds(30));
  EXPECT_FALSE(among.state(0).usable());
  pass(seconds(30));
  EXPECT_TRUE(among.state(0).usable());
}

TEST_F(EjectionsTest, ForgetsWhatIsLongAgo) {
  serve(0, 500);
  look();
  pass(seconds(30));
  look();
  serve(0, 500);
  look();
  pass(seconds(30));
  EXPECT_TRUE(among.state(0).usable());
}

TEST_F(EjectionsTest, CountsWhatHappensInOneIntervalAlone) {
  serve(0, 500, 9);
  look();
  serve(0, 500, 9);
  look();
  EXPECT_TRUE(among.state(0).usable());
}

TEST_F(EjectionsTest, EndWithARule) {
  serve(0, 500);
  look();
  ejections.end();
  EXPECT_TRUE(among.state(0).usable());
}

TEST_F(EjectionsTest, AMarkByHandLetsInBeforeTheTime) {
  serve(0, 500);
  look();
  among.state(0).mark(true);
  EXPECT_TRUE(among.state(0).usable());
  pass(seconds(1));
  EXPECT_TRUE(among.state(0).usable());
}

}  // namespace
}  // namespace gateway::upstream
