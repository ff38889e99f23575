#include "plugin/chain.h"

#include <map>
#include <stdexcept>

#include "plugin/testing.h"

namespace gateway::plugin {
namespace {

using nlohmann::json;

/// Says which row it was made from.
class Labelled final : public Plugin {
 public:
  explicit Labelled(const json& config) : label(config.at("label").get<std::string>()), host(config.value("host", "")) {}
  std::string_view detours_to() const noexcept override { return host; }
  std::string label;
  std::string host;
};

PluginType labelled(std::string name, int priority, Phase phases = Phase::access, bool per_consumer = true) {
  PluginType type;
  type.name = std::move(name);
  type.priority = priority;
  type.phases = phases;
  type.per_consumer = per_consumer;
  type.make = [](const entity::PluginConfig& row, const Services&) -> Result<std::unique_ptr<Plugin>> {
    return std::unique_ptr<Plugin>(std::make_unique<Labelled>(row.config));
  };
  return type;
}

class ChainTest : public ::testing::Test {
 protected:
  ChainTest() {
    service.id = Uuid::random();
    route.id = Uuid::random();
    route.service = service.id;
    consumer.id = Uuid::random();
    service_of[route.id] = service.id;
  }

  ChainBuilder builder_of(std::vector<PluginType> types, entity::Protocols protocols = entity::http_protocols) {
    return ChainBuilder(
        std::move(types), bench.services,
        [this](const Uuid& id) -> std::optional<Uuid> {
          const auto found = service_of.find(id);
          return found == service_of.end() ? std::nullopt : std::optional(found->second);
        },
        protocols);
  }

  // `scope` names what the row is bound to: any of r, s, c.
  entity::PluginConfig row(std::string name, std::string_view scope) const {
    entity::PluginConfig out;
    out.id = Uuid::random();
    out.name = std::move(name);
    out.protocols = entity::bit(entity::Protocol::http);
    out.config = {{"label", scope}};
    if (scope.find('r') != std::string_view::npos) out.route = route.id;
    if (scope.find('s') != std::string_view::npos) out.service = service.id;
    if (scope.find('c') != std::string_view::npos) out.consumer = consumer.id;
    return out;
  }

  static std::string chosen(const Chains& chains, const entity::Route& route, const entity::Consumer* who) {
    std::string out;
    for (const Slot& slot : chains.of(route).slots) {
      const auto* plugin = static_cast<const Labelled*>(chains.choose(slot, who));
      out += (out.empty() ? "" : " ") + std::string(slot.name) + ":" + (plugin == nullptr ? "-" : plugin->label);
    }
    return out;
  }

  testing::Bench bench;
  entity::Service service;
  entity::Route route;
  entity::Consumer consumer;
  std::map<Uuid, Uuid> service_of;
};

TEST_F(ChainTest, TheMostSpecificRowRuns) {
  // For a route and its service, for the known consumer: first wins. "g" is bound to nothing.
  const std::vector<std::string> order = {"rsc", "rc", "sc", "rs", "c", "r", "s", "g"};
  for (unsigned present = 1; present < 1U << order.size(); ++present) {
    ChainBuilder builder = builder_of({labelled("p", 1)});
    std::string for_consumer;
    std::string for_others;
    for (std::size_t i = 0; i < order.size(); ++i) {
      if ((present >> i & 1) == 0) continue;
      builder.set(row("p", order[i]));
      if (for_consumer.empty()) for_consumer = order[i];
      if (for_others.empty() && order[i].find('c') == std::string::npos) for_others = order[i];
    }
    const Chains& chains = builder.chains();
    EXPECT_EQ(chosen(chains, route, &consumer), "p:" + for_consumer) << present;
    EXPECT_EQ(chosen(chains, route, nullptr), "p:" + (for_others.empty() ? "-" : for_others)) << present;
  }
}

TEST_F(ChainTest, TakesTheNextRowWhenOneGoesIsDisabledOrIsForOtherProtocols) {
  ChainBuilder builder = builder_of({labelled("p", 1)});
  entity::PluginConfig of_route = row("p", "r");
  const entity::PluginConfig of_service = row("p", "s");
  const entity::PluginConfig of_all = row("p", "g");
  for (const auto& each : {of_route, of_service, of_all}) builder.set(each);
  EXPECT_EQ(chosen(builder.chains(), route, nullptr), "p:r");
  of_route.enabled = false;
  builder.set(of_route);
  EXPECT_EQ(chosen(builder.chains(), route, nullptr), "p:s");
  of_route.enabled = true;
  of_route.protocols = entity::bit(entity::Protocol::tcp);
  builder.set(of_route);
  EXPECT_EQ(chosen(builder.chains(), route, nullptr), "p:s");
  builder.erase(of_service.id);
  EXPECT_EQ(chosen(builder.chains(), route, nullptr), "p:g");
  builder.erase(of_all.id);
  EXPECT_EQ(chosen(builder.chains(), route, nullptr), "");
}

TEST_F(ChainTest, RunsByPriorityAndThenByNameDescending) {
  ChainBuilder builder = builder_of({labelled("a", 5), labelled("c", 7), labelled("b", 5), labelled("d", -1)});
  for (const char* name : {"a", "b", "c", "d"}) builder.set(row(name, "g"));
  EXPECT_EQ(chosen(builder.chains(), route, nullptr), "c:g b:g a:g d:g");
}

TEST_F(ChainTest, FollowsARouteToAnotherService) {
  ChainBuilder builder = builder_of({labelled("p", 1), labelled("q", 2)});
  builder.set(row("p", "rs"));
  builder.set(row("q", "s"));
  EXPECT_EQ(chosen(builder.chains(), route, nullptr), "q:s p:rs");
  route.service = service_of[route.id] = Uuid::random();
  builder.route_changed(route.id);
  EXPECT_EQ(chosen(builder.chains(), route, nullptr), "") << "the row for both holds only while they belong together";
}

TEST_F(ChainTest, KnowsRowsOfConsumersAsTheyComeAndGo) {
  ChainBuilder builder = builder_of({labelled("p", 1)});
  const Chains before = builder.chains();
  const entity::PluginConfig mine = row("p", "c");
  builder.set(mine);
  entity::Consumer other;
  other.id = Uuid::random();
  entity::PluginConfig others = row("p", "c");
  others.consumer = other.id;
  others.config = {{"label", "other"}};
  const Chains with_one = builder.chains();
  builder.set(others);
  const Chains with_two = builder.chains();
  EXPECT_EQ(chosen(before, route, &consumer), "");
  EXPECT_EQ(chosen(with_one, route, &other), "p:-") << "what a request holds does not change under it";
  EXPECT_EQ(chosen(with_two, route, &other), "p:other");
  EXPECT_EQ(chosen(with_two, route, &consumer), "p:c");
  EXPECT_EQ(&with_one.global(), &with_two.global()) << "one more consumer builds no chain anew";
  builder.erase(mine.id);
  builder.erase(others.id);
  EXPECT_EQ(chosen(builder.chains(), route, &consumer), "");
}

TEST_F(ChainTest, IgnoresConsumersWhereThePluginDoes) {
  ChainBuilder builder = builder_of({labelled("p", 1, Phase::access, false)});
  builder.set(row("p", "c"));
  EXPECT_EQ(chosen(builder.chains(), route, &consumer), "");
  builder.set(row("p", "g"));
  EXPECT_EQ(chosen(builder.chains(), route, &consumer), "p:g");
}

TEST_F(ChainTest, LeavesOutRowsThatCannotRun) {
  PluginType broken = labelled("broken", 2);
  broken.make = [](const entity::PluginConfig&, const Services&) -> Result<std::unique_ptr<Plugin>> { throw std::runtime_error("no"); };
  ChainBuilder builder = builder_of({labelled("p", 1), broken});
  builder.set(row("broken", "g"));
  builder.set(row("unknown", "g"));
  builder.set(row("p", "g"));
  EXPECT_EQ(chosen(builder.chains(), route, nullptr), "p:g");
}

TEST_F(ChainTest, KnowsWhichPhasesAreOfInterest) {
  ChainBuilder builder = builder_of({labelled("p", 1, Phase::rewrite | Phase::log), labelled("q", 2, Phase::response | Phase::body_filter)});
  builder.set(row("p", "g"));
  const Chains first = builder.chains();
  EXPECT_TRUE(first.global().rewrites && first.global().logs);
  EXPECT_FALSE(first.global().buffers_response || first.global().filters_body);
  builder.set(row("q", "s"));
  const Chains second = builder.chains();
  EXPECT_TRUE(second.of(route).buffers_response && second.of(route).filters_body && second.of(route).logs);
  EXPECT_FALSE(second.global().buffers_response);
}

TEST_F(ChainTest, OfStreamsKnowOnlyRowsForStreams) {
  ChainBuilder of_requests = builder_of({labelled("a", 1)});
  ChainBuilder of_streams = builder_of({labelled("a", 1)}, entity::stream_protocols);
  entity::PluginConfig everywhere = row("a", "g");
  everywhere.protocols |= entity::bit(entity::Protocol::udp);
  for (ChainBuilder* each : {&of_requests, &of_streams}) {
    each->set(everywhere);
    each->set(row("a", "r"));
  }
  EXPECT_EQ(chosen(of_requests.chains(), route, nullptr), "a:r");
  EXPECT_EQ(chosen(of_streams.chains(), route, nullptr), "a:g") << "the narrower row does not exist there";
  everywhere.protocols = entity::bit(entity::Protocol::http);
  of_streams.set(everywhere);
  EXPECT_EQ(chosen(of_streams.chains(), route, nullptr), "") << "nor does one that has changed";
}

TEST_F(ChainTest, KeepWhatOutlivesThem) {
  ChainBuilder builder = builder_of({labelled("a", 1)});
  const entity::PluginConfig own = row("a", "r");
  builder.set(own);
  const std::shared_ptr<const Chain> kept = builder.chains().shared_of(route);
  builder.erase(own.id);
  EXPECT_EQ(builder.chains().shared_of(route), builder.chains().shared_global());
  EXPECT_EQ(static_cast<const Labelled&>(*kept->slots.at(0).base).label, "r");
}

TEST_F(ChainTest, TellWhereRequestsMayGoInstead) {
  ChainBuilder builder = builder_of({labelled("a", 1)});
  entity::PluginConfig one = row("a", "r");
  one.config["host"] = "green";
  entity::PluginConfig other = row("a", "s");
  other.config["host"] = "green";
  builder.set(row("a", "g"));
  EXPECT_FALSE(builder.detours_changed());
  builder.set(one);
  EXPECT_TRUE(builder.detours_changed());
  EXPECT_TRUE(builder.detours().contains("green"));
  builder.set(other);
  builder.erase(one.id);
  EXPECT_FALSE(builder.detours_changed()) << "another row names it still";
  other.config["host"] = "blue";
  builder.set(other);
  EXPECT_TRUE(builder.detours_changed());
  EXPECT_EQ(builder.detours().size(), 1U);
  EXPECT_TRUE(builder.detours().contains("blue"));
}

}  // namespace
}  // namespace gateway::plugin
