#include "plugins/acl/acl.h"

#include "plugin/testing.h"

namespace gateway::plugins::acl {
namespace {

using nlohmann::json;
using plugin::Flow;
using plugin::testing::Bench;
using plugin::testing::complaints;

constexpr const char* ann = "00000000-0000-0000-0000-000000000001";

class Acl : public testing::Test {
 protected:
  void authenticated(bool with_credential = true) {
    auto consumer = std::make_shared<entity::Consumer>();
    consumer->id_text = ann;
    bench.exchange->consumer = consumer;
    if (with_credential) bench.exchange->credential = std::make_shared<plugin::Credential>();
  }
  void groups(const std::vector<std::string>& names) {
    for (const std::string& name : names) bench.population.rows["acls"].push_back({{"consumer", {{"id", ann}}}, {"group", name}});
  }
  void vouched(std::vector<std::string> names) { bench.exchange->authenticated_groups = std::make_shared<const std::vector<std::string>>(std::move(names)); }
  Flow ask(json config) {
    plugin = bench.make(type(), std::move(config));
    return bench.access(*plugin);
  }
  static void expect(Flow flow, unsigned status, std::string_view message) {
    ASSERT_TRUE(flow.replies());
    EXPECT_EQ(flow.get().status, status);
    EXPECT_EQ(flow.get().body, message);
    EXPECT_TRUE(flow.get().negotiate);
    EXPECT_TRUE(flow.get().headers.empty());
  }
  static void expect_forbidden(Flow flow) { expect(std::move(flow), 403, "You cannot consume this service"); }
  static void expect_unauthorized(Flow flow) { expect(std::move(flow), 401, "Unauthorized"); }

  Bench bench;
  std::unique_ptr<plugin::Plugin> plugin;
};

TEST_F(Acl, AllowsAMemberOfAnAllowedGroupAndTellsTheUpstream) {
  authenticated();
  groups({"admin", "staff"});
  EXPECT_FALSE(ask({{"allow", {"staff"}}}).replies());
  EXPECT_EQ(bench.header("X-Consumer-Groups"), "admin, staff");
  const int loads = bench.population.loads;
  EXPECT_FALSE(plugin->access(*bench.exchange).waits());
  EXPECT_EQ(bench.population.loads, loads);
}

TEST_F(Acl, ForbidsOthers) {
  authenticated();
  groups({"guests"});
  expect_forbidden(ask({{"allow", {"staff"}}}));
  EXPECT_EQ(bench.head.headers.find("X-Consumer-Groups"), nullptr);
}

TEST_F(Acl, ForbidsMembersOfADeniedGroup) {
  authenticated();
  groups({"guests"});
  expect_forbidden(ask({{"deny", {"guests"}}}));
  EXPECT_FALSE(ask({{"deny", {"staff"}}}).replies());
  EXPECT_EQ(bench.header("X-Consumer-Groups"), "guests");
}

TEST_F(Acl, HidesTheGroupsWhenTold) {
  authenticated();
  groups({"staff"});
  EXPECT_FALSE(ask({{"allow", {"staff"}}, {"hide_groups_header", true}}).replies());
  EXPECT_EQ(bench.head.headers.find("X-Consumer-Groups"), nullptr);
}

TEST_F(Acl, JudgesAConsumerWithoutGroupsByTheListItHas) {
  authenticated();
  expect_forbidden(ask({{"allow", {"staff"}}}));
  EXPECT_FALSE(ask({{"deny", {"staff"}}}).replies());
  EXPECT_EQ(bench.header("X-Consumer-Groups"), " ");
}

TEST_F(Acl, AsksAnAnonymousConsumerWithoutGroupsToAuthenticate) {
  authenticated(false);
  expect_unauthorized(ask({{"allow", {"staff"}}}));
  groups({"guests"});
  bench.population.forget();
  expect_forbidden(ask({{"allow", {"staff"}}}));
}

TEST_F(Acl, AsksOneNobodyKnowsToAuthenticate) {
  expect_unauthorized(ask({{"allow", {"staff"}}}));
  expect_unauthorized(ask({{"deny", {"staff"}}}));
}

TEST_F(Acl, ForbidsACredentialOfNoConsumer) {
  bench.exchange->credential = std::make_shared<plugin::Credential>();
  expect_forbidden(ask({{"deny", {"staff"}}}));
}

TEST_F(Acl, FindsTheConsumerThroughItsCredential) {
  auto credential = std::make_shared<plugin::Credential>();
  credential->consumer = Uuid::parse(ann);
  bench.exchange->credential = credential;
  groups({"staff"});
  EXPECT_FALSE(ask({{"allow", {"staff"}}}).replies());
}

TEST_F(Acl, TakesTheWordOfAnAuthenticationPlugin) {
  vouched({"staff", "night"});
  EXPECT_FALSE(ask({{"allow", {"night"}}}).replies());
  EXPECT_EQ(bench.header("X-Authenticated-Groups"), "staff, night");
  expect_forbidden(ask({{"deny", {"night"}}}));
}

TEST_F(Acl, PrefersItForAuthenticatedConsumersOnlyWhenTold) {
  authenticated();
  groups({"staff"});
  vouched({"night"});
  expect_forbidden(ask({{"allow", {"night"}}}));
  EXPECT_FALSE(ask({{"allow", {"night"}}, {"always_use_authenticated_groups", true}}).replies());
  bench.exchange->credential = nullptr;
  EXPECT_FALSE(ask({{"allow", {"night"}}}).replies());
}

TEST_F(Acl, FailsWhenTheDatastoreDoes) {
  authenticated();
  bench.population.broken = true;
  expect(ask({{"allow", {"staff"}}}), 500, "An unexpected error occurred");
}

TEST(AclSettings, NeedOneOfTheTwoLists) {
  EXPECT_EQ(complaints(type(), {{"allow", {"a"}}, {"deny", {"b"}}}),
            json({{"@entity", {"exactly one of these fields must be non-empty: 'config.allow', 'config.deny'"}}}));
  const json none = complaints(type(), json::object());
  ASSERT_TRUE(none.contains("@entity"));
  EXPECT_NE(std::find(none["@entity"].begin(), none["@entity"].end(), json("at least one of these fields must be non-empty: 'config.allow', 'config.deny'")),
            none["@entity"].end());
}

}  // namespace
}  // namespace gateway::plugins::acl
