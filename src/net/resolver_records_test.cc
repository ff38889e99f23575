// What names lead to: types and their order, services, aliases, search lists, several servers, TCP, the TTL.

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <thread>

#include "base/test_allocations.h"
#include "net/resolver_fixture.h"

namespace gateway::net {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

constexpr int any = FakeNameServer::any;
constexpr int a = FakeNameServer::a;
constexpr int aaaa = FakeNameServer::aaaa;
constexpr int cname = FakeNameServer::cname;
constexpr int srv = FakeNameServer::srv;
constexpr unsigned server_failure = 2;
constexpr unsigned name_error = 3;

class ResolverRecords : public ResolverTest {
 protected:
  void SetUp() override {
    ResolverTest::SetUp();
    options.order = {"LAST", "SRV", "A", "CNAME"};
  }
  void use_resolv_conf(const std::string& text) {
    options.resolv_conf = ::testing::TempDir() + "resolver_conf_" + std::to_string(getpid());
    std::ofstream(options.resolv_conf) << text;
  }
  void TearDown() override {
    if (options.resolv_conf != "/dev/null") unlink(options.resolv_conf.c_str());
    ResolverTest::TearDown();
  }
};

// ---- types ----

TEST_F(ResolverRecords, TheTypeThatWorkedLastComesFirst) {
  options.valid_ttl = 1s;
  options.stale_ttl = 0s;
  server.set("last.test", a, {.addresses = {"10.0.0.1"}});
  EXPECT_EQ(get("last.test"), "10.0.0.1:80");
  EXPECT_EQ(server.asked("last.test", srv), 1);
  std::this_thread::sleep_for(1050ms);
  EXPECT_EQ(get("last.test"), "10.0.0.1:80");
  EXPECT_EQ(server.asked("last.test", a), 2);
  EXPECT_EQ(server.asked("last.test", srv), 1);
  EXPECT_EQ(server.asked("last.test", aaaa), 0);
}

TEST_F(ResolverRecords, WithoutLastEachTimeTheWholeOrderIsGoneThrough) {
  options.order = {"SRV", "A"};
  options.valid_ttl = 0s;
  server.set("first.test", a, {.addresses = {"10.0.0.1"}});
  EXPECT_EQ(get("first.test"), "10.0.0.1:80");
  EXPECT_EQ(get("first.test"), "10.0.0.1:80");
  EXPECT_EQ(server.asked("first.test", srv), 2);
}

TEST_F(ResolverRecords, ATypeThatFailsDoesNotHideTheNext) {
  server.set("odd.test", srv, {.rcode = server_failure});
  server.set("odd.test", a, {.addresses = {"10.0.0.1"}});
  server.set("strange.test", srv, {.rcode = name_error});
  server.set("strange.test", a, {.addresses = {"10.0.0.2"}});
  EXPECT_EQ(get("odd.test"), "10.0.0.1:80");
  EXPECT_EQ(get("strange.test"), "10.0.0.2:80");
}

TEST_F(ResolverRecords, ATypeThatTimesOutEndsTheLookUp) {
  server.set("slow.test", srv, {.silent = true});
  server.set("slow.test", a, {.addresses = {"10.0.0.1"}});
  EXPECT_EQ(get("slow.test"), "Timeout while contacting DNS servers");
  EXPECT_EQ(server.asked("slow.test", a), 0);
}

// ---- services ----

TEST_F(ResolverRecords, ServicesBringPortsAndWeightsOfTheBestPriority) {
  server.set("service.test", srv,
             {.services = {{20, 5, 9999, "far.test"}, {10, 3, 8001, "one.test"}, {10, 0, 8002, "two.test"}, {10, 1, 0, "2001:db8::1"}, {10, 7, 1, ""}}});
  server.set("one.test", a, {.addresses = {"10.0.0.1"}});
  server.set("two.test", a, {.addresses = {"10.0.0.2", "10.0.0.3"}});
  EXPECT_EQ(get_all("service.test"), "10.0.0.1:8001*3 10.0.0.2:8002*1 10.0.0.3:8002*1 [2001:db8::1]:80*1");
  const auto all = begin_all("service.test");
  ASSERT_TRUE(*all);
  EXPECT_TRUE((*all)->value().srv);
  std::vector<std::string> names;
  for (const Resolver::Record& record : (*all)->value().records) names.push_back(record.name);
  EXPECT_EQ(names, (std::vector<std::string>{"one.test", "two.test", "two.test", ""}));
  EXPECT_LE((*all)->value().ttl, 60s);
  EXPECT_GT((*all)->value().ttl, 58s);
  EXPECT_EQ(server.asked("far.test", any) + server.asked("far.test", a), 0);
}

TEST_F(ResolverRecords, ServicesArePickedByWeight) {
  server.set("service.test", srv, {.services = {{1, 3, 8001, "10.0.0.1"}, {1, 1, 8002, "10.0.0.2"}, {1, 0, 8003, "10.0.0.3"}}});
  std::map<std::string, int> picked;
  ++picked[get("service.test")];
  for (int i = 0; i < 49; ++i) ++picked[get_now("service.test")];
  EXPECT_EQ(picked, (std::map<std::string, int>{{"10.0.0.1:8001", 30}, {"10.0.0.2:8002", 10}, {"10.0.0.3:8003", 10}}));
}

TEST_F(ResolverRecords, TargetsThatCannotBeFoundAreLeftOut) {
  server.set("service.test", srv, {.services = {{1, 1, 8001, "gone.test"}, {1, 1, 8002, "here.test"}}});
  server.set("gone.test", any, {.rcode = name_error});
  server.set("here.test", a, {.addresses = {"10.0.0.2"}});
  EXPECT_EQ(get_all("service.test"), "10.0.0.2:8002*1");

  server.set("lost.test", srv, {.services = {{1, 1, 8001, "gone.test"}}});
  EXPECT_EQ(get_all("lost.test"), "dns client error: 101 empty record received");
}

TEST_F(ResolverRecords, ServicesThatNameThemselvesCountForNothing) {
  server.set("pod.test", srv, {.services = {{1, 1, 8001, "POD.test"}}});
  server.set("pod.test", a, {.addresses = {"10.0.0.1"}});
  EXPECT_EQ(get_all("pod.test"), "10.0.0.1:80");
}

TEST_F(ResolverRecords, TheSoonestTtlOfAServiceAndItsTargetsCounts) {
  server.set("service.test", srv, {.ttl = 600, .services = {{1, 1, 8001, "short.test"}}});
  server.set("short.test", a, {.addresses = {"10.0.0.1"}, .ttl = 5});
  const auto all = begin_all("service.test");
  wait_for(*all);
  EXPECT_LE((*all)->value().ttl, 5s);
}

// ---- aliases ----

TEST_F(ResolverRecords, AnAliasIsFollowedWithinAnAnswerAndBeyondIt) {
  server.set("whole.test", a, {.addresses = {"10.0.0.1"}, .aliases = {{"", "middle.test"}, {"middle.test", "end.test"}}});
  server.set("half.test", a, {.aliases = {{"", "other.test"}}});
  server.set("other.test", a, {.addresses = {"10.0.0.2"}});
  server.set("only.test", cname, {.aliases = {{"", "other.test"}}});
  EXPECT_EQ(get_all("whole.test"), "10.0.0.1:80");
  EXPECT_EQ(get_all("half.test"), "10.0.0.2:80");
  EXPECT_EQ(get_all("only.test"), "10.0.0.2:80");
  EXPECT_EQ(server.asked("end.test", a) + server.asked("middle.test", a), 0);
  EXPECT_EQ(server.asked("other.test", a), 1);
}

TEST_F(ResolverRecords, AnAliasMayLeadToAServiceOrToTheHostsFile) {
  options.hosts_file = ::testing::TempDir() + "resolver_alias_hosts_" + std::to_string(getpid());
  std::ofstream(options.hosts_file) << "10.9.9.9 known.test\n";
  server.set("alias.test", srv, {.aliases = {{"", "service.test"}}});
  server.set("service.test", srv, {.services = {{1, 4, 8001, "known.test"}}});
  EXPECT_EQ(get_all("alias.test"), "10.9.9.9:8001*4");
  EXPECT_EQ(server.asked("known.test", a), 0);
  unlink(options.hosts_file.c_str());
}

TEST_F(ResolverRecords, CirclesAreDetected) {
  options.order = {"A"};
  server.set("self.test", a, {.aliases = {{"", "self.test"}}});
  server.set("ping.test", a, {.aliases = {{"", "pong.test"}}});
  server.set("pong.test", a, {.aliases = {{"", "ping.test"}}});
  EXPECT_EQ(get("self.test"), "recursion detected");
  EXPECT_EQ(get("ping.test"), "recursion detected");

  options.order = {"SRV"};
  resolver.reset();
  server.set("tick.test", srv, {.services = {{1, 1, 1, "tock.test"}, {1, 1, 2, "tack.test"}}});
  server.set("tock.test", srv, {.services = {{1, 1, 1, "tack.test"}}});
  server.set("tack.test", srv, {.services = {{1, 1, 1, "tick.test"}, {1, 1, 1, "tock.test"}}});
  EXPECT_EQ(get("tick.test"), "recursion detected");
}

TEST_F(ResolverRecords, AChainOfAliasesHasAnEnd) {
  options.order = {"A"};
  for (int i = 0; i < 100; ++i) server.set("n" + std::to_string(i) + ".test", a, {.aliases = {{"", "n" + std::to_string(i + 1) + ".test"}}});
  server.set("n100.test", a, {.addresses = {"10.0.0.1"}});
  EXPECT_EQ(get("n0.test"), "recursion detected");
  EXPECT_EQ(server.asked("n50.test", a), 0);
  EXPECT_EQ(get("n95.test"), "10.0.0.1:80");
}

// ---- the search list ----

TEST_F(ResolverRecords, NamesWithFewDotsAreSearchedFor) {
  use_resolv_conf("search one.test two.test\noptions ndots:2\n");
  options.order = {"A"};
  server.set("short.two.test", a, {.addresses = {"10.0.0.2"}});
  server.set("dotted.name", a, {.addresses = {"10.0.0.3"}});
  server.set("three.dots.there", a, {.addresses = {"10.0.0.4"}});
  for (const char* name : {"short.one.test", "dotted.name.one.test", "dotted.name.two.test"}) server.set(name, any, {.rcode = name_error});
  EXPECT_EQ(get("short"), "10.0.0.2:80");
  EXPECT_EQ(server.asked("short.one.test", a), 1);
  EXPECT_EQ(get("dotted.name"), "10.0.0.3:80");
  EXPECT_EQ(server.asked("dotted.name.two.test", a), 1);
  EXPECT_EQ(get("three.dots.there"), "10.0.0.4:80");
  EXPECT_EQ(server.asked("three.dots.there.one.test", a), 0);
  EXPECT_EQ(get("dotted.name."), "10.0.0.3:80");
  EXPECT_EQ(server.asked("dotted.name.one.test", a), 1);
}

TEST_F(ResolverRecords, WhatAnAnswerNamesIsNotSearchedFor) {
  use_resolv_conf("search one.test\n");
  options.order = {"A"};
  server.set("alias.test", a, {.aliases = {{"", "single"}}});
  server.set("single", a, {.addresses = {"10.0.0.1"}});
  EXPECT_EQ(get("alias.test"), "10.0.0.1:80");
  EXPECT_EQ(server.asked("single.one.test", a), 0);
}

// ---- servers ----

TEST_F(ResolverRecords, ASecondServerStandsInForAFirstThatFailsOrIsSilent) {
  FakeNameServer other;
  options.servers = {server.address(), other.address()};
  options.order = {"A"};
  server.set("one.test", a, {.silent = true});
  other.set("one.test", a, {.addresses = {"10.0.0.1"}});
  server.set("two.test", a, {.rcode = server_failure});
  other.set("two.test", a, {.addresses = {"10.0.0.2"}});
  EXPECT_EQ(get("one.test"), "10.0.0.1:80");
  EXPECT_EQ(get("two.test"), "10.0.0.2:80");
}

TEST_F(ResolverRecords, AnAnswerThatWasCutShortIsAskedForOnTcp) {
  options.order = {"A"};
  FakeNameServer::Answer many{.cut = true};
  for (int i = 1; i <= 100; ++i) many.addresses.push_back("10.0.1." + std::to_string(i));
  server.set("many.test", a, many);
  const auto all = begin_all("many.test");
  wait_for(*all);
  ASSERT_TRUE((*all)->has_value());
  EXPECT_EQ((*all)->value().records.size(), 100U);
  EXPECT_EQ(server.asked_on_tcp(), 1);
}

TEST_F(ResolverRecords, AnAnswerThatCannotBeReadIsAFailureOfItsOwn) {
  options.order = {"A"};
  // One question, an answer of type A that is 3 bytes long.
  server.set("bad.test", a, {.raw = "\x81\x80\0\1\0\1\0\0\0\0\3bad\4test\0\0\1\0\1\xc0\x0c\0\1\0\1\0\0\0\x3c\0\3\1\2\3"s});
  EXPECT_EQ(get("bad.test"), "Misformatted DNS reply");
}

// ---- time ----

TEST_F(ResolverRecords, ATtlOfZeroAsksEachTimeButOnceForThoseWhoWaitTogether) {
  options.order = {"A"};
  server.set("zero.test", a, {.addresses = {"10.0.0.1"}, .ttl = 0});
  EXPECT_EQ(get("zero.test"), "10.0.0.1:80");
  const auto one = begin("zero.test");
  const auto two = begin("zero.test");
  EXPECT_FALSE(*one || *two);
  wait_for(*one);
  wait_for(*two);
  EXPECT_EQ(server.asked("zero.test", a), 2);
  const auto all = begin_all("zero.test");
  wait_for(*all);
  EXPECT_EQ((*all)->value().ttl, 0ms);
}

TEST_F(ResolverRecords, AnOutageServesTheLastAnswerEvenOfATtlOfZero) {
  options.order = {"A"};
  server.set("zero.test", a, {.addresses = {"10.0.0.1"}, .ttl = 0});
  EXPECT_EQ(get("zero.test"), "10.0.0.1:80");
  server.set("zero.test", a, {.silent = true});
  EXPECT_EQ(get("zero.test"), "10.0.0.1:80");
  EXPECT_EQ(get_now("zero.test"), "10.0.0.1:80");
  EXPECT_EQ(get_all("zero.test"), "10.0.0.1:80");
  std::this_thread::sleep_for(1050ms);
  EXPECT_EQ(get_now("zero.test"), "10.0.0.1:80");  // asks again behind our back
  server.set("zero.test", a, {.addresses = {"10.0.0.2"}, .ttl = 0});
  run_for(500ms);
  EXPECT_EQ(get("zero.test"), "10.0.0.2:80");
}

TEST_F(ResolverRecords, AnEmptyAnswerDoesNotReplaceAGoodOne) {
  options.order = {"A"};
  options.valid_ttl = 1s;
  server.set("shy.test", a, {.addresses = {"10.0.0.1"}});
  EXPECT_EQ(get("shy.test"), "10.0.0.1:80");
  server.set("shy.test", a, {});
  std::this_thread::sleep_for(1050ms);
  EXPECT_EQ(get_all("shy.test"), "10.0.0.1:80");
  EXPECT_EQ(server.asked("shy.test", a), 2);
}

TEST_F(ResolverRecords, AfterTheStaleTimeAFailureIsAFailure) {
  options.order = {"A"};
  options.valid_ttl = 1s;
  options.stale_ttl = 1s;
  server.set("old.test", a, {.addresses = {"10.0.0.1"}});
  EXPECT_EQ(get("old.test"), "10.0.0.1:80");
  server.set("old.test", a, {.rcode = server_failure});
  std::this_thread::sleep_for(2050ms);
  EXPECT_EQ(get("old.test"), "dns server error: 2 server failure");
}

TEST_F(ResolverRecords, ResolveAllWaitsForWhatHasExpiredAndTellsWhatIsLeft) {
  options.order = {"A"};
  server.set("ttl.test", a, {.addresses = {"10.0.0.1", "10.0.0.2"}, .ttl = 1});
  EXPECT_EQ(get_all("ttl.test"), "10.0.0.1:80 10.0.0.2:80");
  server.set("ttl.test", a, {.addresses = {"10.0.0.3"}, .ttl = 1});
  std::this_thread::sleep_for(500ms);
  auto all = begin_all("ttl.test");
  ASSERT_TRUE(*all);
  EXPECT_LE((*all)->value().ttl, 500ms);
  std::this_thread::sleep_for(550ms);
  EXPECT_EQ(get_all("ttl.test"), "10.0.0.3:80");
}

TEST_F(ResolverRecords, LiteralsAndTheHostsFileHoldForVeryLong) {
  EXPECT_EQ(get_all("10.0.0.1"), "10.0.0.1:80");
  for (const char* name : {"10.0.0.1", "localhost"}) {
    const auto all = begin_all(name);
    ASSERT_TRUE(*all);
    EXPECT_GE((*all)->value().ttl, 24h * 365);
    EXPECT_FALSE((*all)->value().srv);
  }
}

TEST_F(ResolverRecords, FailuresOfAllAreThoseOfOne) {
  server.set("no.test", any, {.rcode = name_error});
  EXPECT_EQ(get_all("no.test"), "dns server error: 3 name error");
  EXPECT_EQ(get_all("no.test"), "dns server error: 3 name error");
  EXPECT_EQ(server.asked("no.test", a), 1);
}

// ---- what it costs, and what is shown ----

Task<void> look_up_often(Resolver& resolver, const std::string& host, int& found) {
  for (int i = 0; i < 8; ++i) {
    const Result<SocketAddress> address = co_await resolver.resolve(host, 80);
    found += address.has_value() ? 1 : 0;
  }
}

TEST_F(ResolverRecords, AHitAllocatesNothing) {
  server.set("hot.test", a, {.addresses = {"10.0.0.1", "10.0.0.2"}});
  server.set("service.test", srv, {.services = {{1, 3, 8001, "10.0.0.1"}, {1, 1, 8002, "10.0.0.2"}}});
  for (const std::string host : {"hot.test", "service.test"}) {
    get(host);
    int found = 0;
    spawn(look_up_often(*resolver, host, found));  // its frames come from a pool
    allocations::count = 0;
    allocations::counting = true;
    spawn(look_up_often(*resolver, host, found));
    allocations::counting = false;
    EXPECT_EQ(allocations::count, 0) << host;
    EXPECT_EQ(found, 16);
  }
}

TEST_F(ResolverRecords, LinesTellWhatTheCacheHolds) {
  options.valid_ttl = 1s;
  server.set("service.test", srv, {.services = {{1, 3, 8001, "10.0.0.1"}}});
  server.set("no.test", any, {.rcode = name_error});
  get("service.test");
  get("service.test");
  get("no.test");
  std::map<std::string, Resolver::Line> lines;
  for (const Resolver::Line& line : resolver->lines()) lines[line.name] = line;
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_TRUE(lines["localhost"].hosts_file);
  const Resolver::Line service = lines["service.test"];
  EXPECT_EQ(service.type, "SRV");
  EXPECT_EQ(service.addresses, std::vector<std::string>{"10.0.0.1:8001"});
  EXPECT_FALSE(service.stale);
  EXPECT_GT(service.ttl_left, 0ms);
  EXPECT_EQ((std::array{service.runs, service.hits, service.queries, service.failures}), (std::array<std::uint64_t, 4>{2, 1, 1, 0}));
  EXPECT_EQ(lines["no.test"].error, "dns server error: 3 name error");
  EXPECT_EQ(lines["no.test"].failures, 1U);
  std::this_thread::sleep_for(1050ms);
  for (const Resolver::Line& line : resolver->lines()) EXPECT_EQ(line.stale, line.name == "service.test");
}

}  // namespace
}  // namespace gateway::net
