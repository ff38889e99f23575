#include "plugins/canary/canary.h"

#include <cmath>

#include "plugin/testing.h"
#include "plugins/canary/share.h"

namespace gateway::plugins::canary {
namespace {

using nlohmann::json;
using plugin::testing::Bench;
using plugin::testing::complaints;
using namespace std::chrono;

constexpr const char* ann = "00000000-0000-0000-0000-000000000001";
constexpr auto noon = sys_seconds(1'700'000'000s);

class Canary : public testing::Test {
 protected:
  Canary() { bench.now = noon; }
  void use(json config) {
    config.emplace("upstream_host", "next.test");
    plugin = bench.make(type(), std::move(config));
    ASSERT_NE(plugin, nullptr);
  }
  bool moves() {
    bench.exchange->detour = nullptr;
    EXPECT_FALSE(bench.access(*plugin).replies());
    return bench.exchange->detour != nullptr;
  }
  int moved_of(int requests, const std::function<void(int)>& prepare) {
    int moved = 0;
    for (int i = 0; i < requests; ++i) {
      prepare(i);
      moved += moves() ? 1 : 0;
    }
    return moved;
  }
  void from(const std::string& address) {
    address_ = address;
    bench.connection.client_ip = address_;
  }
  void authenticated(const std::string& id = ann) {
    auto consumer = std::make_shared<entity::Consumer>();
    consumer->id_text = id;
    bench.exchange->consumer = consumer;
  }
  void with_header(const char* name, const std::string& value) {
    bench.head.headers.clear();
    bench.head.headers.add(name, bench.head.headers.keep(value));
  }

  Bench bench;
  std::unique_ptr<plugin::Plugin> plugin;
  std::string address_;
};

TEST_F(Canary, SendsAFixedShareElsewhere) {
  use({{"percentage", 10}, {"hash", "ip"}, {"upstream_port", 8081}, {"upstream_uri", "/v2"}, {"upstream_fallback", true}});
  const int moved = moved_of(2000, [&](int i) { from("10.0." + std::to_string(i / 256) + '.' + std::to_string(i % 256)); });
  EXPECT_NEAR(moved, 200, 60);
  use({{"percentage", 100}, {"upstream_port", 8081}, {"upstream_uri", "/v2"}, {"upstream_fallback", true}});
  ASSERT_TRUE(moves());
  const plugin::Detour& there = *bench.exchange->detour;
  EXPECT_EQ(there.host, "next.test");
  EXPECT_EQ(there.port, 8081);
  EXPECT_EQ(there.path, "/v2");
  EXPECT_TRUE(there.only_when_healthy);
  use({{"percentage", 0}});
  EXPECT_FALSE(moves());
}

TEST_F(Canary, KeepsEveryoneOnTheirSide) {
  use({{"percentage", 50}, {"hash", "consumer"}});
  for (int i = 0; i < 50; ++i) {
    authenticated("consumer " + std::to_string(i));
    const bool first = moves();
    for (int again = 0; again < 5; ++again) EXPECT_EQ(moves(), first);
  }
}

TEST_F(Canary, NobodyComesBackWhileTheShareGrows) {
  use({{"start", 1'700'000'000}, {"duration", 100}, {"steps", 20}, {"hash", "ip"}});
  std::vector<bool> was(200, false);
  int before = 0;
  for (int second = 0; second <= 100; ++second) {
    bench.now = noon + seconds(second);
    int moved = 0;
    for (std::size_t i = 0; i < was.size(); ++i) {
      from("10.0.0." + std::to_string(i));
      const bool now = moves();
      EXPECT_TRUE(now || !was[i]) << i << " came back in second " << second;
      was[i] = now;
      moved += now ? 1 : 0;
    }
    EXPECT_GE(moved, before);
    EXPECT_TRUE(second >= 5 || moved == 0) << "the first of 20 steps is taken after 5 seconds";
    before = moved;
  }
  EXPECT_EQ(before, 200);
  bench.now = noon - 1s;
  EXPECT_FALSE(moves()) << "it has not begun";
}

TEST_F(Canary, BeginsWhenItIsMadeUnlessItSays) {
  use({{"duration", 10}, {"hash", "none"}});
  EXPECT_FALSE(moves());
  bench.now += 10s;
  EXPECT_TRUE(moves());
}

TEST_F(Canary, GoesByChance) {
  use({{"percentage", 30}, {"hash", "none"}});
  authenticated();
  EXPECT_NEAR(moved_of(3000, [](int) {}), 900, 150);
}

TEST_F(Canary, GoesByAHeaderElseByWhatElseIsKnown) {
  use({{"percentage", 50}, {"hash", "header"}, {"hash_header", "X-Tenant"}});
  std::vector<bool> by_header;
  for (int i = 0; i < 64; ++i) {
    with_header("x-tenant", "tenant " + std::to_string(i));
    by_header.push_back(moves());
    authenticated("another " + std::to_string(i));
    EXPECT_EQ(moves(), by_header.back()) << "the consumer does not matter";
  }
  EXPECT_GT(std::count(by_header.begin(), by_header.end(), true), 10);
  EXPECT_LT(std::count(by_header.begin(), by_header.end(), true), 54);

  bench.head.headers.clear();
  const auto changes = [&](const std::function<void(int)>& prepare) {
    const int moved = moved_of(64, prepare);
    return moved > 5 && moved < 59;
  };
  EXPECT_TRUE(changes([&](int i) { authenticated("consumer " + std::to_string(i)); })) << "without the header";
  bench.exchange->consumer = nullptr;
  EXPECT_TRUE(changes([&](int i) { from("10.0.0." + std::to_string(i)); })) << "without a consumer";
  from("");
  EXPECT_TRUE(changes([](int) {})) << "without an address";
}

TEST_F(Canary, ClientsMayChoose) {
  use({{"percentage", 50}, {"canary_by_header_name", "X-Canary"}, {"upstream_fallback", true}});
  for (int i = 0; i < 20; ++i) {
    from("10.0.0." + std::to_string(i));
    with_header("x-canary", "always");
    ASSERT_TRUE(moves());
    EXPECT_FALSE(bench.exchange->detour->only_when_healthy) << "always is always";
    with_header("x-canary", "never");
    EXPECT_FALSE(moves());
    bench.head.headers.clear();
    const bool otherwise = moves();
    with_header("x-canary", "perhaps");
    EXPECT_EQ(moves(), otherwise);
  }
}

TEST_F(Canary, GoesByGroups) {
  bench.population.rows["acls"] = {{{"consumer", {{"id", ann}}}, {"group", "friends"}}};
  for (const bool allow : {true, false}) {
    use({{"hash", allow ? "allow" : "deny"}, {"groups", {"friends", "family"}}});
    authenticated();
    EXPECT_EQ(moves(), allow);
    EXPECT_EQ(moves(), allow) << "known by now";
    authenticated("00000000-0000-0000-0000-000000000002");
    EXPECT_EQ(moves(), !allow) << "in no group";
    bench.exchange->consumer = nullptr;
    EXPECT_EQ(moves(), !allow) << "nobody";
    bench.exchange->authenticated_groups = std::make_shared<const std::vector<std::string>>(std::vector<std::string>{"family"});
    EXPECT_EQ(moves(), allow) << "vouched for";
    bench.exchange->authenticated_groups = nullptr;
  }
}

TEST_F(Canary, StaysWithTheServiceWhereGroupsAreNotToBeHad) {
  bench.population.broken = true;
  for (const char* hash : {"allow", "deny"}) {
    use({{"hash", hash}, {"groups", {"friends"}}});
    authenticated();
    EXPECT_FALSE(moves());
  }
  bench.population.complete = false;
  const json config = {{"hash", "allow"}, {"groups", {"friends"}}, {"upstream_host", "next.test"}};
  EXPECT_EQ(bench.make(type(), config), nullptr) << "without the plugin acl there are no groups";
  EXPECT_NE(bench.make(type(), {{"upstream_host", "next.test"}}), nullptr);
}

TEST(CanaryShare, IsExact) {
  const auto share = [](double percentage, unsigned steps) { return Share({{"percentage", percentage}, {"steps", steps}}, noon).moved({}); };
  for (unsigned percent = 0; percent <= 100; ++percent) {
    EXPECT_EQ(share(percent, 100), percent);
    EXPECT_EQ(share(percent, 1000), percent * 10);
  }
  EXPECT_EQ(share(14, 50), 7);
  EXPECT_EQ(share(0.05, 1000), 1);
  EXPECT_EQ(share(50, 1), 1);
  EXPECT_EQ(Share({{"start", 1'700'000'000}, {"duration", 0}}, noon).moved(noon), 1000) << "all at once";
}

// The canary's own ring must not see one corner of all hashes.
TEST(CanaryShare, PartsAreNotThoseOfARing) {
  unsigned parts[10] = {};
  for (int i = 0; i < 10000; ++i) ++parts[part_of("consumer " + std::to_string(i), 10)];
  for (const unsigned each : parts) EXPECT_NEAR(each, 1000, 150);
}

TEST(CanarySchema, TellsWhatIsWrong) {
  const auto wrong = [](json config) { return complaints(type(), std::move(config)); };
  EXPECT_EQ(wrong({{"upstream_host", "next.test"}}), json());
  EXPECT_EQ(wrong({{"upstream_port", 8081}}), json());
  EXPECT_EQ(wrong({{"upstream_uri", "/next?debug=1"}, {"start", 1}}), json()) << "a beginning in the past is one";
  EXPECT_EQ(wrong(json::object())["@entity"][0],
            "at least one of these fields must be non-empty: 'config.upstream_uri', 'config.upstream_host', 'config.upstream_port'");
  const auto field = [&](const char* name, json value) {
    json config = {{"upstream_host", "next.test"}};
    config[name] = std::move(value);
    return wrong(std::move(config))["config"][name];
  };
  EXPECT_EQ(field("percentage", 101), "value should be between 0 and 100");
  EXPECT_EQ(field("percentage", -1), "value should be between 0 and 100");
  EXPECT_EQ(field("steps", 0), "value must be at least 1");
  EXPECT_EQ(field("duration", -1), "value must be at least 0");
  EXPECT_EQ(field("start", -1), "value must be at least 0");
  EXPECT_EQ(field("upstream_port", 65536), "value should be between 0 and 65535");
  EXPECT_EQ(field("upstream_uri", "next"), "should start with: /");
  EXPECT_EQ(field("upstream_uri", "/a b"), "must not contain blanks, control characters or '#'");
  EXPECT_EQ(field("upstream_uri", "/a\r\nX: y"), "must not contain blanks, control characters or '#'");
  EXPECT_EQ(field("hash", "whim"), "expected one of: consumer, ip, none, allow, deny, header");
  EXPECT_EQ(field("duration", nullptr), json()) << "with_defaults fills it in";
  EXPECT_EQ(wrong({{"upstream_host", "next.test"}, {"hash", "header"}})["config"]["hash_header"], "required field missing");
  EXPECT_EQ(wrong({{"upstream_port", 1}, {"upstream_fallback", true}})["config"]["upstream_host"], "required field missing");
}

}  // namespace
}  // namespace gateway::plugins::canary
