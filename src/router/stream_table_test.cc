#include "router/stream_table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace gateway::router {
namespace {

using entity::bit;
using entity::Endpoint;
using entity::Protocol;
using entity::Route;
using Transport = StreamQuery::Transport;

constexpr std::uint8_t tcp = bit(Protocol::tcp);
constexpr std::uint8_t tls = bit(Protocol::tls);
constexpr std::uint8_t passthrough = bit(Protocol::tls_passthrough);
constexpr std::uint8_t udp = bit(Protocol::udp);

Uuid number(std::uint32_t n) {
  Uuid id;
  for (int i = 0; i < 4; ++i) id.bytes[static_cast<std::size_t>(15 - i)] = static_cast<std::uint8_t>(n >> (8 * i));
  return id;
}

struct Spec {
  std::uint32_t id = 1;
  entity::Protocols protocols = tcp;
  std::vector<std::string> snis{};
  std::vector<Endpoint> sources{};
  std::vector<Endpoint> destinations{};
  std::int64_t created_at = 0;

  [[nodiscard]] std::shared_ptr<const Route> route() const {
    auto route = std::make_shared<Route>();
    route->id = number(id);
    route->protocols = protocols;
    route->snis = snis;
    route->sources = sources;
    route->destinations = destinations;
    route->created_at = created_at;
    return route;
  }
};

struct Ask {
  Transport transport = Transport::tcp;
  std::string sni{};
  std::string from = "10.0.0.1";
  std::uint16_t from_port = 40000;
  std::string to = "10.0.0.2";
  std::uint16_t to_port = 9000;
};

std::uint32_t ask(const StreamTable& table, const Ask& what) {
  const auto found = table.match({what.transport, what.sni, net::IpAddress::parse(what.from), what.from_port, net::IpAddress::parse(what.to), what.to_port});
  return found ? std::uint32_t{found->id.bytes[15]} | std::uint32_t{found->id.bytes[14]} << 8 : 0;
}

struct StreamTableTest : testing::Test {
  StreamTable table;
  StreamTable traditional{Flavour::traditional};
  void set(const Spec& spec) {
    table.set(spec.route());
    traditional.set(spec.route());
  }
};

TEST_F(StreamTableTest, MatchesByDestinationPort) {
  set({.id = 1, .destinations = {{"", 9000}}});
  EXPECT_EQ(ask(table, {}), 1U);
  EXPECT_EQ(ask(table, {.to_port = 9001}), 0U);
}

TEST_F(StreamTableTest, MatchesByAddressNetworkAndPortTogether) {
  set({.id = 1, .sources = {{"10.1.0.0/16", std::nullopt}, {"10.2.0.1", 7}}});
  EXPECT_EQ(ask(table, {.from = "10.1.200.3"}), 1U);
  EXPECT_EQ(ask(table, {.from = "10.2.0.1", .from_port = 7}), 1U);
  EXPECT_EQ(ask(table, {.from = "10.2.0.1", .from_port = 8}), 0U);
  EXPECT_EQ(ask(table, {.from = "10.3.0.1"}), 0U);
  EXPECT_EQ(ask(table, {.from = ""}), 0U) << "a unix socket has no address";
}

TEST_F(StreamTableTest, MatchesIpv6AndIpv4ThroughADualListener) {
  set({.id = 1, .sources = {{"fd00::/8", std::nullopt}}});
  set({.id = 2, .sources = {{"10.0.0.0/8", std::nullopt}}});
  EXPECT_EQ(ask(table, {.from = "fd00::7"}), 1U);
  EXPECT_EQ(ask(table, {.from = "::ffff:10.0.0.9"}), 2U);
}

TEST_F(StreamTableTest, AListenerDecidesWhichProtocolsItTakes) {
  set({.id = 1, .protocols = udp, .destinations = {{"", 53}}});
  set({.id = 2, .protocols = tcp, .destinations = {{"", 53}}});
  set({.id = 3, .protocols = tls, .destinations = {{"", 443}}});
  EXPECT_EQ(ask(table, {.transport = Transport::udp, .to_port = 53}), 1U);
  EXPECT_EQ(ask(table, {.to_port = 53}), 2U);
  EXPECT_EQ(ask(table, {.to_port = 443}), 0U) << "a route for TLS takes no plain text";
  EXPECT_EQ(ask(table, {.transport = Transport::tls, .to_port = 443}), 3U);
  EXPECT_EQ(ask(table, {.transport = Transport::tls, .to_port = 53}), 2U);
}

TEST_F(StreamTableTest, NamesMatchWithoutRegardToCaseAndALastDot) {
  set({.id = 1, .protocols = passthrough, .snis = {"A.test."}});
  EXPECT_EQ(ask(table, {.transport = Transport::tls, .sni = "a.TEST"}), 1U);
  EXPECT_EQ(ask(table, {.transport = Transport::tls, .sni = "a.test."}), 1U);
  EXPECT_EQ(ask(table, {.transport = Transport::tls, .sni = "b.a.test"}), 0U);
  EXPECT_EQ(ask(table, {.transport = Transport::tls}), 0U);
}

TEST_F(StreamTableTest, WildcardsStandForAtLeastOneCharacter) {
  set({.id = 1, .protocols = tls, .snis = {"*.a.test"}});
  set({.id = 2, .protocols = tls, .snis = {"b.*"}});
  EXPECT_EQ(ask(table, {.transport = Transport::tls, .sni = "x.y.a.test"}), 1U);
  EXPECT_EQ(ask(table, {.transport = Transport::tls, .sni = ".a.test"}), 0U);
  EXPECT_EQ(ask(table, {.transport = Transport::tls, .sni = "b.org"}), 2U);
  EXPECT_EQ(ask(table, {.transport = Transport::tls, .sni = "b."}), 0U);
}

TEST_F(StreamTableTest, NamesDoNotCountWhereThereIsNoTls) {
  set({.id = 1, .protocols = tcp | tls, .snis = {"a.test"}, .destinations = {{"", 9000}}});
  EXPECT_EQ(ask(table, {}), 1U);
  EXPECT_EQ(ask(table, {.transport = Transport::tls, .sni = "b.test"}), 0U);
}

TEST_F(StreamTableTest, MoreKindsOfThingsMatchedGoFirst) {
  set({.id = 1, .protocols = tls, .destinations = {{"", 9000}}});
  set({.id = 2, .protocols = tls, .snis = {"a.test"}});
  set({.id = 3, .protocols = tls, .snis = {"a.test"}, .destinations = {{"", 9000}}});
  for (const StreamTable* each : {&table, &traditional}) {
    EXPECT_EQ(ask(*each, {.transport = Transport::tls, .sni = "a.test"}), 3U);
    EXPECT_EQ(ask(*each, {.transport = Transport::tls, .sni = "a.test", .to_port = 1}), 2U);
    EXPECT_EQ(ask(*each, {.transport = Transport::tls, .sni = "b.test"}), 1U);
  }
}

TEST_F(StreamTableTest, TraditionalPutsNamesBeforeSourcesBeforeDestinations) {
  set({.id = 1, .protocols = tls, .sources = {{"10.0.0.1", std::nullopt}}});
  set({.id = 2, .protocols = tls, .destinations = {{"10.0.0.2", 9000}}});
  EXPECT_EQ(ask(traditional, {.transport = Transport::tls, .sni = "a.test"}), 1U);
  set({.id = 3, .protocols = tls, .snis = {"a.test"}});
  EXPECT_EQ(ask(traditional, {.transport = Transport::tls, .sni = "a.test"}), 3U);
}

TEST_F(StreamTableTest, CompatiblePutsAddressesBeforePortsBeforeNetworks) {
  set({.id = 1, .sources = {{"10.0.0.0/8", std::nullopt}}});
  EXPECT_EQ(ask(table, {}), 1U);
  set({.id = 2, .sources = {{"", 40000}}});
  EXPECT_EQ(ask(table, {}), 2U);
  set({.id = 3, .sources = {{"10.0.0.1", std::nullopt}}});
  EXPECT_EQ(ask(table, {}), 3U);
}

TEST_F(StreamTableTest, OfEqualsTheOlderOrTheLargerIdGoesFirst) {
  set({.id = 1, .destinations = {{"", 9000}}, .created_at = 10});
  set({.id = 2, .destinations = {{"", 9000}}, .created_at = 20});
  EXPECT_EQ(ask(traditional, {}), 1U);
  EXPECT_EQ(ask(table, {}), 2U);
}

TEST_F(StreamTableTest, ARouteForHttpIsOnlyTakenOut) {
  set({.id = 1, .destinations = {{"", 9000}}});
  set({.id = 1, .protocols = bit(Protocol::http)});
  EXPECT_EQ(ask(table, {}), 0U);
  EXPECT_EQ(table.size(), 0U);
}

TEST_F(StreamTableTest, ACopyDoesNotSeeLaterChanges) {
  set({.id = 1, .destinations = {{"", 9000}}});
  const StreamTable before = table;
  const auto kept = before.match({.sni = {}, .source_ip = {}, .destination_ip = {}, .destination_port = 9000});
  set({.id = 2, .sources = {{"10.0.0.1", std::nullopt}}, .destinations = {{"", 9000}}});
  table.erase(number(1));
  EXPECT_EQ(ask(before, {}), 1U);
  EXPECT_EQ(ask(table, {}), 2U);
  EXPECT_EQ(kept->id, number(1));
}

// A table that files routes and one that tries them all in order must agree, whatever is set and taken out.
TEST(StreamTable, AgreesWithLookingAtEveryRoute) {
  std::mt19937 random(7);
  const auto any = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  const std::vector<std::string> names = {"a.test", "b.test", "*.test", "a.*", "c.a.test"};
  const std::vector<std::string> ips = {"10.0.0.1", "10.0.0.2", "10.0.0.0/30", "10.0.0.0/8", ""};
  const auto places = [&] {
    std::vector<Endpoint> out;
    for (unsigned left = any(3); left > 0; --left) {
      Endpoint one{ips[any(5)], std::nullopt};
      if (one.ip.empty() || any(2) == 0) one.port = static_cast<std::uint16_t>(1 + any(3));
      out.push_back(one);
    }
    return out;
  };
  for (const Flavour flavour : {Flavour::traditional, Flavour::traditional_compatible}) {
    StreamTable table(flavour);
    std::map<std::uint32_t, Spec> specs;
    for (int round = 0; round < 150; ++round) {
      const std::uint32_t id = 1 + any(40);
      table = StreamTable(table);
      if (any(4) == 0) {
        table.erase(number(id));
        specs.erase(id);
      } else {
        constexpr std::uint8_t kinds[] = {tcp, tls, passthrough, udp, tcp | tls, tcp | tls | udp};
        Spec spec{.id = id, .protocols = kinds[any(6)], .sources = places(), .destinations = places(), .created_at = any(5)};
        if (any(2) == 0) spec.snis = {names[any(5)], names[any(5)]};
        specs[id] = spec;
        table.set(spec.route());
      }
      for (int each = 0; each < 8; ++each) {
        const std::string& asked = names[each % 2 == 0 ? any(2) : 4];
        const StreamQuery query{static_cast<Transport>(any(3)),     asked,
                                net::IpAddress::parse(ips[any(2)]), static_cast<std::uint16_t>(1 + any(3)),
                                net::IpAddress::parse(ips[any(2)]), static_cast<std::uint16_t>(1 + any(3))};
        // One route at a time cannot be hidden by another: that tells which accept, and pairs tell which of them goes first.
        std::uint32_t expected = 0;
        for (const auto& [number_of, spec] : specs) {
          StreamTable alone(flavour);
          alone.set(spec.route());
          if (!alone.match(query)) continue;
          if (expected == 0) {
            expected = number_of;
            continue;
          }
          alone.set(specs[expected].route());
          expected = alone.match(query)->id == number(expected) ? expected : number_of;
        }
        const auto found = table.match(query);
        ASSERT_EQ(found ? std::uint32_t{found->id.bytes[15]} : 0, expected);
      }
    }
    EXPECT_EQ(table.size(), specs.size());
  }
}

}  // namespace
}  // namespace gateway::router
