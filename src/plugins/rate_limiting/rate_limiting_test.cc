#include "plugins/rate_limiting/rate_limiting.h"

#include <thread>

#include "plugin/testing.h"
#include "plugins/rate_limiting/window.h"

namespace gateway::plugins::rate_limiting {
namespace {

using nlohmann::json;
using plugin::Flow;
using plugin::testing::Bench;
using plugin::testing::complaints;
using namespace std::chrono;

// In years to come, so that no counter is forgotten meanwhile.
constexpr auto noon = sys_days(2120y / July / 31) + 12h + 34min + 56s;

class RateLimiting : public testing::Test {
 protected:
  RateLimiting() { bench.now = noon; }
  void use(json config, std::optional<Uuid> route = {}, std::optional<Uuid> service = {}) { plugin = bench.make(type(), std::move(config), route, service); }
  bool passes() {
    bench.exchange->response_headers.clear();
    flow.emplace(bench.access(*plugin));
    return !flow->replies();
  }
  void expect_refusal(unsigned status = 429, std::string_view message = "API rate limit exceeded") {
    ASSERT_FALSE(passes());
    EXPECT_EQ(flow->get().status, status);
    EXPECT_EQ(flow->get().body, message);
    EXPECT_TRUE(flow->get().negotiate);
  }

  Bench bench;
  std::unique_ptr<plugin::Plugin> plugin;
  std::optional<Flow> flow;
};

TEST_F(RateLimiting, CountsDownAndThenRefuses) {
  use({{"hour", 3}});
  for (const char* left : {"2", "1", "0"}) {
    EXPECT_TRUE(passes());
    EXPECT_EQ(bench.told("X-RateLimit-Limit-Hour"), "3");
    EXPECT_EQ(bench.told("X-RateLimit-Remaining-Hour"), left);
    EXPECT_EQ(bench.told("RateLimit-Limit"), "3");
    EXPECT_EQ(bench.told("RateLimit-Remaining"), left);
    EXPECT_EQ(bench.told("RateLimit-Reset"), "1504");
    EXPECT_EQ(bench.told("Retry-After"), "");
  }
  for (int i = 0; i < 2; ++i) {
    expect_refusal();
    EXPECT_EQ(bench.told("X-RateLimit-Remaining-Hour"), "0");
    EXPECT_EQ(bench.told("RateLimit-Remaining"), "0");
    EXPECT_EQ(bench.told("Retry-After"), "1504");
  }
}

TEST_F(RateLimiting, BeginsAnewWithTheNextWindow) {
  use({{"hour", 1}});
  EXPECT_TRUE(passes());
  expect_refusal();
  bench.now += 1504s;
  EXPECT_TRUE(passes());
}

TEST_F(RateLimiting, TellsTheTightestPeriodAndTheLongerOfTwo) {
  use({{"minute", 2}, {"hour", 99999}});
  EXPECT_TRUE(passes());
  EXPECT_EQ(bench.told("RateLimit-Limit"), "2");
  EXPECT_EQ(bench.told("RateLimit-Reset"), "4");
  EXPECT_EQ(bench.told("X-RateLimit-Remaining-Hour"), "99998");
  EXPECT_TRUE(passes());
  expect_refusal();
  EXPECT_EQ(bench.told("X-RateLimit-Remaining-Minute"), "0");
  EXPECT_EQ(bench.told("X-RateLimit-Remaining-Hour"), "99997") << "not reduced by a request that was refused";
  use({{"hour", 2}, {"day", 2}, {"limit_by", "service"}}, Uuid::random());
  EXPECT_TRUE(passes());
  EXPECT_EQ(bench.told("RateLimit-Reset"), std::to_string(86400 - (12 * 3600 + 34 * 60 + 56)));
}

TEST_F(RateLimiting, DoesNotCountRefusedRequestsInOtherPeriods) {
  use({{"minute", 1}, {"hour", 2}});
  EXPECT_TRUE(passes());
  for (int i = 0; i < 5; ++i) expect_refusal();
  bench.now += 1min;
  EXPECT_TRUE(passes());
  bench.now += 1min;
  expect_refusal();
  EXPECT_EQ(bench.told("X-RateLimit-Remaining-Minute"), "1");
  EXPECT_EQ(bench.told("X-RateLimit-Remaining-Hour"), "0");
}

TEST_F(RateLimiting, TellsFractionsAsTheyAre) {
  use({{"hour", 1.5}});
  EXPECT_TRUE(passes());
  EXPECT_EQ(bench.told("X-RateLimit-Limit-Hour"), "1.5");
  EXPECT_EQ(bench.told("X-RateLimit-Remaining-Hour"), "0.5");
  EXPECT_TRUE(passes());
  expect_refusal();
}

TEST(RateLimitingWindow, IsCountedToItsEndInLongMonthsAndYearsToo) {
  EXPECT_GT(facts(Period::month).kept, days(31));
  EXPECT_GT(facts(Period::year).kept, days(366));
  for (const PeriodFacts& each : periods) EXPECT_GT(each.kept, each.length);
}

TEST_F(RateLimiting, HidesItsHeadersAndAnswersAsTold) {
  use({{"hour", 1}, {"hide_client_headers", true}, {"error_code", 503}, {"error_message", "slow down"}});
  EXPECT_TRUE(passes());
  EXPECT_TRUE(bench.exchange->response_headers.empty());
  expect_refusal(503, "slow down");
  EXPECT_TRUE(bench.exchange->response_headers.empty());
}

TEST_F(RateLimiting, BearsSettingsThatAreNull) {
  plugin::PluginType rate_limiting = type();
  entity::PluginConfig row;
  row.config = {{"hour", 1}, {"error_code", nullptr}, {"error_message", nullptr}, {"policy", nullptr}, {"limit_by", nullptr}};
  plugin = *rate_limiting.make(row, bench.services);
  EXPECT_TRUE(passes());
  expect_refusal(429, "");
}

TEST_F(RateLimiting, FailsWhereItsStatusIsNone) {
  for (const double code : {0.5, 99.0, 600.0, 1e300}) {
    use({{"hour", 1}, {"error_code", code}}, Uuid::random());
    EXPECT_TRUE(passes());
    expect_refusal(500, "An unexpected error occurred");
  }
  use({{"hour", 1}, {"error_code", 451.9}}, Uuid::random());
  EXPECT_TRUE(passes());
  expect_refusal(451);
}

TEST_F(RateLimiting, CountsByWhatItIsTold) {
  const auto as = [&](const char* id) { bench.exchange->consumer = std::make_shared<const entity::Consumer>(entity::Consumer::from_json({{"id", id}})); };
  use({{"hour", 1}});
  as("a");
  EXPECT_TRUE(passes());
  EXPECT_FALSE(passes());
  as("b");
  EXPECT_TRUE(passes());
  bench.exchange->consumer = nullptr;
  auto credential = std::make_shared<plugin::Credential>();
  credential->id_text = "c";
  bench.exchange->credential = credential;
  EXPECT_TRUE(passes()) << "a credential stands in for its consumer";
  EXPECT_FALSE(passes());
  use({{"hour", 1}, {"limit_by", "credential"}});
  EXPECT_FALSE(passes()) << "the same counter";
  bench.exchange->credential = nullptr;
  EXPECT_TRUE(passes()) << "by address";
  use({{"hour", 1}, {"limit_by", "ip"}});
  EXPECT_FALSE(passes());
  bench.connection.client_ip = "10.9.9.9";
  EXPECT_TRUE(passes());
}

TEST_F(RateLimiting, CountsByHeaderPathAndService) {
  use({{"hour", 1}, {"limit_by", "header"}, {"header_name", "x-who"}});
  bench.head.headers.add("X-Who", "a");
  EXPECT_TRUE(passes());
  EXPECT_FALSE(passes());
  bench.head.headers.set("X-Who", "b");
  EXPECT_TRUE(passes());
  use({{"hour", 1}, {"limit_by", "path"}, {"path", "/p"}});
  EXPECT_TRUE(passes()) << "another path: by address";
  bench.request("GET", "/p?q=1");
  EXPECT_TRUE(passes());
  bench.connection.client_ip = "10.9.9.9";
  EXPECT_FALSE(passes());
  use({{"hour", 1}, {"limit_by", "service"}});
  entity::Service service;
  service.id = Uuid::random();
  bench.exchange->service = &service;
  EXPECT_TRUE(passes());
  bench.connection.client_ip = "10.8.8.8";
  EXPECT_FALSE(passes());
  bench.exchange->service = nullptr;
  EXPECT_TRUE(passes()) << "no service: by address";
}

TEST_F(RateLimiting, CountsForWhatTheRowIsBoundTo) {
  const Uuid route = Uuid::random();
  use({{"hour", 1}}, route);
  EXPECT_TRUE(passes());
  use({{"hour", 1}}, Uuid::random());
  EXPECT_TRUE(passes());
  use({{"hour", 1}, {"error_message", "changed"}}, route);
  EXPECT_FALSE(passes()) << "the counter outlives the configuration";
}

TEST_F(RateLimiting, NamesClusterCountersAsKongDoes) {
  const Uuid service = *Uuid::parse("00000000-0000-0000-0000-0000000000cc");
  use({{"hour", 5}, {"policy", "cluster"}}, {}, service);
  EXPECT_TRUE(passes());
  const auto start = duration_cast<milliseconds>((sys_days(2120y / July / 31) + 12h).time_since_epoch()).count();
  EXPECT_EQ(bench.cluster_counters.values.begin()->first,
            "ratelimit:00000000-0000-0000-0000-000000000000:00000000-0000-0000-0000-0000000000cc:10.1.2.3:" + std::to_string(start) + ":hour");
}

TEST_F(RateLimiting, CountsInTheClusterAndNotWhatItRefuses) {
  use({{"hour", 2}, {"day", 2}, {"policy", "cluster"}});
  EXPECT_TRUE(passes());
  EXPECT_EQ(bench.told("X-RateLimit-Remaining-Day"), "1");
  EXPECT_TRUE(passes());
  expect_refusal();
  for (const auto& [key, value] : bench.cluster_counters.values) EXPECT_EQ(value, 2) << key;
}

TEST_F(RateLimiting, LeavesTheLastPlaceToTheNodeThatTookIt) {
  use({{"hour", 2}, {"policy", "cluster"}});
  bench.cluster_counters.stolen = 2;
  expect_refusal();
  for (const auto& [key, value] : bench.cluster_counters.values) EXPECT_EQ(value, 2) << key;
}

TEST_F(RateLimiting, LetsRequestsPassWhenCountersCannotBeReached) {
  bench.cluster_counters.broken = true;
  for (const char* policy : {"cluster", "redis"}) {
    use({{"hour", 1}, {"policy", policy}, {"redis", {{"host", "h"}}}});
    EXPECT_TRUE(passes());
    EXPECT_TRUE(bench.exchange->response_headers.empty());
    use({{"hour", 1}, {"policy", policy}, {"redis", {{"host", "h"}}}, {"fault_tolerant", false}});
    expect_refusal(500, "An unexpected error occurred");
    EXPECT_TRUE(bench.exchange->response_headers.empty());
  }
}

TEST(RateLimitingWindow, BeginsWithTheCalendar) {
  const System::time_point now = noon + 789ms;
  EXPECT_EQ(window_start(Period::second, now), noon);
  EXPECT_EQ(window_start(Period::minute, now), noon - 56s);
  EXPECT_EQ(window_start(Period::hour, now), noon - 34min - 56s);
  EXPECT_EQ(window_start(Period::day, now), sys_days(2120y / July / 31));
  EXPECT_EQ(window_start(Period::month, now), sys_days(2120y / July / 1));
  EXPECT_EQ(window_start(Period::year, now), sys_days(2120y / January / 1));
}

TEST(RateLimitingLocal, NeverAdmitsMoreThanTheLimitNorLess) {
  Bench shared;
  shared.now = noon;
  const plugin::PluginType kind = type();
  std::unique_ptr<plugin::Plugin> plugin = shared.make(kind, {{"hour", 1000}});
  std::atomic<int> admitted = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        http::Arena arena;
        http::RequestHead head(arena);
        plugin::Connection connection;
        connection.client_ip = "10.1.2.3";
        plugin::Exchange exchange(head, arena, connection);
        plugin::Step step = plugin->access(exchange);
        if (!step.waits() && !step.take().replies()) ++admitted;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(admitted, 1000);
}

TEST(RateLimitingSettings, AreChecked) {
  const auto on_config = [](const char* text) { return json{{"config", text}}; };
  EXPECT_EQ(complaints(type(), {{"second", 10}, {"minute", 5}}), on_config("The limit for minute(5.0) cannot be lower than the limit for second(10.0)"));
  EXPECT_EQ(complaints(type(), {{"minute", 5}, {"sync_rate", -2}}), on_config("sync_rate can only be used with the redis policy"));
  EXPECT_EQ(complaints(type(), {{"minute", 5}, {"policy", "redis"}, {"redis", {{"host", "h"}}}, {"sync_rate", 0.01}}),
            on_config("sync_rate must be greater than 0.02, or -1 to disable"));
  EXPECT_EQ(complaints(type(), {{"second", 0}}), json({{"config", {{"second", "value must be greater than 0"}}}}));
  EXPECT_EQ(complaints(type(), {{"minute", 5}, {"policy", "redis"}}), json({{"@entity", {"failed conditional validation given value of field 'config.policy'"}},
                                                                            {"config", {{"redis", {{"host", "required field missing"}}}}}}));
  EXPECT_EQ(
      complaints(type(), {{"minute", 5}, {"limit_by", "header"}}),
      json({{"@entity", {"failed conditional validation given value of field 'config.limit_by'"}}, {"config", {{"header_name", "required field missing"}}}}));
  EXPECT_FALSE(complaints(type(), json::object()).is_null());
  EXPECT_EQ(complaints(type(), {{"minute", 5}, {"redis", {{"server_name", "10.0.0.1"}}}}),
            json({{"config", {{"redis", {{"server_name", "must not be an IP"}}}}}}));
}

}  // namespace
}  // namespace gateway::plugins::rate_limiting
