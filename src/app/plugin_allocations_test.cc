#include "app/all_plugins.h"
#include "base/test_allocations.h"
#include "plugin/testing.h"

namespace gateway::app {
namespace {

using nlohmann::json;
using plugin::testing::Bench;

constexpr const char* consumer_id = "00000000-0000-0000-0000-000000000001";

class PluginAllocations : public testing::Test {
 protected:
  PluginAllocations() {
    bench.add_consumer(consumer_id, "ann", "custom");
    bench.population.rows["keyauth_credentials"].push_back(
        {{"id", "00000000-0000-0000-0000-000000000002"}, {"key", "secret"}, {"consumer", {{"id", consumer_id}}}});
    bench.population.rows["acls"].push_back({{"group", "friends"}, {"consumer", {{"id", consumer_id}}}});
    service.id = Uuid::random();
    std::vector<std::string> unknown;
    types = chosen_plugins({"bundled"}, unknown);
  }

  void add(const std::string& name, json config) {
    for (const plugin::PluginType& type : types) {
      if (type.name == name) plugins.push_back({type.phases, bench.make(type, std::move(config))});
    }
  }

  // One request through all of them, as the proxy would do it; what it took from the heap.
  int cost_of_a_request(const char* target) {
    std::array<char, 32768> memory;  // more plugins than any request meets
    http::Arena arena(memory.data(), memory.size());
    http::RequestHead head(arena);
    head.headers.reserve(32);
    head.method = "GET";
    head.target = head.path = target;
    head.headers.add("apikey", "secret");
    plugin::Exchange exchange(head, arena, bench.connection);
    exchange.service = &service;
    http::Headers answer(arena);
    unsigned status = 200;
    allocations::count = 0;
    allocations::counting = true;
    for (const auto& [phases, plugin] : plugins) {
      if (has(phases, plugin::Phase::access)) {
        plugin::Step step = plugin->access(exchange);
        waited |= step.waits();
        if (step.waits()) {
          allocations::counting = false;
          EXPECT_FALSE(plugin::testing::run(step.task()).replies());
          allocations::counting = true;
        }
      }
    }
    for (const auto& [phases, plugin] : plugins) {
      if (has(phases, plugin::Phase::header_filter)) plugin->header_filter(exchange, status, answer);
    }
    allocations::counting = false;
    return allocations::count;
  }

  struct Chosen {
    plugin::Phase phases;
    std::unique_ptr<plugin::Plugin> plugin;
  };
  Bench bench;
  entity::Service service;
  std::vector<plugin::PluginType> types;
  std::vector<Chosen> plugins;
  bool waited = false;
};

TEST_F(PluginAllocations, AreNoneOnceTheRequestsConsumerIsKnown) {
  add("correlation-id", {{"generator", "uuid"}, {"echo_downstream", true}, {"header_name", "x-one"}});
  add("correlation-id", {{"generator", "uuid#counter"}, {"echo_downstream", true}, {"header_name", "x-two"}});
  add("correlation-id", {{"generator", "tracker"}, {"echo_downstream", true}, {"header_name", "x-three"}});
  add("key-auth", {{"hide_credentials", true}});
  add("acl", {{"allow", {"friends"}}});
  for (const char* by : {"consumer", "credential", "ip", "service", "header", "path"}) {
    add("rate-limiting", {{"hour", 100000}, {"year", 100000}, {"limit_by", by}, {"header_name", "apikey"}, {"path", "/"}});
  }
  add("request-termination", {{"trigger", "x-stop"}});
  ASSERT_EQ(plugins.size(), 12U);
  cost_of_a_request("/");
  EXPECT_TRUE(waited) << "the first one has to look into the datastore";
  waited = false;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(cost_of_a_request("/"), 0);
  EXPECT_FALSE(waited);
}

}  // namespace
}  // namespace gateway::app
