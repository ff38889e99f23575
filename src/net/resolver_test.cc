#include "net/resolver.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "net/resolver_fixture.h"

namespace gateway::net {
namespace {

using namespace std::chrono_literals;

constexpr int any = FakeNameServer::any;
constexpr int a = FakeNameServer::a;
constexpr int aaaa = FakeNameServer::aaaa;
constexpr unsigned server_failure = 2;
constexpr unsigned name_error = 3;

TEST_F(ResolverTest, LiteralAddressesAndLocalhostNeedNoServer) {
  EXPECT_EQ(get_now("10.1.2.3"), "10.1.2.3:80");
  EXPECT_EQ(get_now("2001:db8::1"), "[2001:db8::1]:80");
  EXPECT_EQ(get_now("[2001:db8::1]"), "[2001:db8::1]:80");
  EXPECT_EQ(get_now("LocalHost"), "127.0.0.1:80");
}

TEST_F(ResolverTest, LocalhostFollowsTheOrder) {
  options.order = {"AAAA", "A"};
  EXPECT_EQ(get_now("localhost"), "[::1]:80");
}

TEST_F(ResolverTest, AnswersFromTheCacheWithoutWaiting) {
  server.set("one.test", a, {.addresses = {"10.0.0.1"}});
  EXPECT_EQ(get("one.test"), "10.0.0.1:80");
  EXPECT_EQ(get_now("ONE.test"), "10.0.0.1:80");
  EXPECT_EQ(server.asked("one.test", a), 1);
  EXPECT_EQ(server.asked("one.test", aaaa), 0);
}

TEST_F(ResolverTest, GivesSeveralAddressesInTurn) {
  server.set("many.test", a, {.addresses = {"10.0.0.1", "10.0.0.2"}});
  const std::string first = get("many.test");
  const std::string second = get_now("many.test");
  EXPECT_NE(first, second);
  EXPECT_EQ(get_now("many.test"), first);
  EXPECT_EQ(get_now("many.test"), second);
}

TEST_F(ResolverTest, AsksTheNextTypeWhenOneHasNoRecords) {
  server.set("six.test", aaaa, {.addresses = {"2001:db8::6"}});
  EXPECT_EQ(get("six.test"), "[2001:db8::6]:80");
  EXPECT_EQ(server.asked("six.test", a), 1);
}

TEST_F(ResolverTest, FollowsTheOrderOfTypes) {
  options.order = {"SRV", "AAAA", "A"};
  server.set("both.test", a, {.addresses = {"10.0.0.1"}});
  server.set("both.test", aaaa, {.addresses = {"2001:db8::6"}});
  EXPECT_EQ(get("both.test"), "[2001:db8::6]:80");
  EXPECT_EQ(server.asked("both.test", a), 0);
}

TEST_F(ResolverTest, ConcurrentWaitersShareOneQuery) {
  server.set("slow.test", a, {.addresses = {"10.0.0.1", "10.0.0.2"}, .delay = 30ms});
  const auto first = begin("slow.test");
  const auto second = begin("slow.test");
  wait_for(*first);
  wait_for(*second);
  EXPECT_NE((*first)->value(), (*second)->value());  // in turn here too
  EXPECT_EQ(server.asked("slow.test", a), 1);
}

TEST_F(ResolverTest, AnExpiredAnswerServesWhileOneRefreshRuns) {
  server.set("ttl.test", a, {.addresses = {"10.0.0.1"}, .ttl = 1});
  EXPECT_EQ(get("ttl.test"), "10.0.0.1:80");
  server.set("ttl.test", a, {.addresses = {"10.0.0.2"}, .ttl = 60});
  EXPECT_EQ(get_now("ttl.test"), "10.0.0.1:80");
  std::this_thread::sleep_for(1050ms);
  EXPECT_EQ(get_now("ttl.test"), "10.0.0.1:80");
  EXPECT_EQ(get_now("ttl.test"), "10.0.0.1:80");
  run_for(60ms);
  EXPECT_EQ(get_now("ttl.test"), "10.0.0.2:80");
  EXPECT_EQ(server.asked("ttl.test", a), 2);
}

TEST_F(ResolverTest, WithoutStaleTimeAnExpiredAnswerIsWaitedFor) {
  options.stale_ttl = 0s;
  options.valid_ttl = 1s;  // whatever the answer says
  server.set("ttl.test", a, {.addresses = {"10.0.0.1"}, .ttl = 600});
  EXPECT_EQ(get("ttl.test"), "10.0.0.1:80");
  server.set("ttl.test", a, {.addresses = {"10.0.0.2"}});
  std::this_thread::sleep_for(1050ms);
  EXPECT_EQ(get("ttl.test"), "10.0.0.2:80");
}

TEST_F(ResolverTest, AStaleAnswerOutlivesAFailingServerButNotANameError) {
  options.valid_ttl = 1s;
  server.set("flaky.test", any, {.addresses = {"10.0.0.1"}});
  server.set("gone.test", any, {.addresses = {"10.0.0.1"}});
  EXPECT_EQ(get("flaky.test"), "10.0.0.1:80");
  EXPECT_EQ(get("gone.test"), "10.0.0.1:80");
  server.set("flaky.test", any, {.rcode = server_failure});
  server.set("gone.test", any, {.rcode = name_error});
  std::this_thread::sleep_for(1050ms);
  EXPECT_EQ(get_now("flaky.test"), "10.0.0.1:80");
  EXPECT_EQ(get_now("gone.test"), "10.0.0.1:80");
  run_for(100ms);
  EXPECT_EQ(get_now("flaky.test"), "10.0.0.1:80");
  EXPECT_EQ(get("gone.test"), "dns server error: 3 name error");
}

TEST_F(ResolverTest, FailuresAreRememberedForAWhile) {
  options.not_found_ttl = 1s;
  server.set("no.such.test", any, {.rcode = name_error});
  const auto found = begin("no.such.test");
  wait_for(*found);
  ASSERT_TRUE((*found)->has_error());
  EXPECT_TRUE(Resolver::is_name_error((*found)->error()));
  EXPECT_EQ((*found)->error().doing, "resolving no.such.test");
  EXPECT_EQ(get_now("no.such.test"), "dns server error: 3 name error");
  EXPECT_EQ(server.asked("no.such.test", a), 1);
  std::this_thread::sleep_for(1050ms);
  EXPECT_EQ(get("no.such.test"), "dns server error: 3 name error");
  EXPECT_EQ(server.asked("no.such.test", a), 2);
}

TEST_F(ResolverTest, ThatANameIsMissingIsRememberedLongerThanAFailure) {
  server.set("missing.test", any, {.rcode = name_error});
  server.set("failing.test", any, {.rcode = server_failure});
  EXPECT_EQ(get("missing.test"), "dns server error: 3 name error");
  EXPECT_EQ(get("failing.test"), "dns server error: 2 server failure");
  const int missing = server.asked("missing.test", a);
  const int failing = server.asked("failing.test", a);
  std::this_thread::sleep_for(1050ms);
  EXPECT_EQ(get("missing.test"), "dns server error: 3 name error");
  EXPECT_EQ(get("failing.test"), "dns server error: 2 server failure");
  EXPECT_EQ(server.asked("missing.test", a), missing);
  EXPECT_GT(server.asked("failing.test", a), failing);
}

TEST_F(ResolverTest, InvalidNamesAreNotAskedFor) {
  const auto found = begin("does-not-exist.INVALID.");
  ASSERT_TRUE(*found);
  EXPECT_TRUE(Resolver::is_name_error((*found)->error()));
  EXPECT_EQ(server.asked("does-not-exist.invalid", a), 0);
}

TEST_F(ResolverTest, AnEmptyAnswerIsANameErrorAndAServerFailureIsNone) {
  const auto empty = begin("empty.test");
  wait_for(*empty);
  ASSERT_TRUE((*empty)->has_error());
  EXPECT_EQ((*empty)->error().code.message(), "dns client error: 101 empty record received");
  EXPECT_TRUE(Resolver::is_name_error((*empty)->error()));

  server.set("broken.test", any, {.rcode = server_failure});
  const auto broken = begin("broken.test");
  wait_for(*broken);
  ASSERT_TRUE((*broken)->has_error());
  EXPECT_EQ((*broken)->error().code.message(), "dns server error: 2 server failure");
  EXPECT_FALSE(Resolver::is_name_error((*broken)->error()));
}

TEST_F(ResolverTest, ASilentServerTimesOut) {
  server.set("silent.test", a, {.silent = true});
  const Steady::time_point start = Steady::now();
  const auto found = begin("silent.test");
  wait_for(*found);
  ASSERT_TRUE((*found)->has_error());
  EXPECT_FALSE(Resolver::is_name_error((*found)->error()));
  EXPECT_EQ(server.asked("silent.test", a), 2);
  EXPECT_GE(Steady::now() - start, 250ms);
  EXPECT_LT(Steady::now() - start, 2s);
}

TEST_F(ResolverTest, TheHostsFileComesBeforeTheServers) {
  options.hosts_file = ::testing::TempDir() + "resolver_hosts_" + std::to_string(getpid());
  std::ofstream(options.hosts_file) << "# comment\n10.9.9.9 Backend alias # more\nnonsense x\n\n"
                                       "2001:db8::9 backend only6\n10.9.9.10\tbackend\n10.0.0.5 localhost\n";
  EXPECT_EQ(get_now("backend"), "10.9.9.9:80");
  EXPECT_EQ(get_now("BACKEND"), "10.9.9.10:80");
  EXPECT_EQ(get_now("alias"), "10.9.9.9:80");
  EXPECT_EQ(get_now("only6"), "[2001:db8::9]:80");
  EXPECT_EQ(get_now("localhost"), "127.0.0.1:80");
  unlink(options.hosts_file.c_str());
}

TEST_F(ResolverTest, ForgetsTheLeastRecentlyUsedName) {
  options.cache_size = 2;
  for (const char* name : {"a.test", "b.test", "c.test"}) server.set(name, a, {.addresses = {"10.0.0.1"}});
  EXPECT_EQ(get("a.test"), "10.0.0.1:80");
  EXPECT_EQ(get("b.test"), "10.0.0.1:80");
  EXPECT_EQ(get_now("a.test"), "10.0.0.1:80");
  EXPECT_EQ(get("c.test"), "10.0.0.1:80");
  EXPECT_EQ(get_now("a.test"), "10.0.0.1:80");
  EXPECT_EQ(get("b.test"), "10.0.0.1:80");
  EXPECT_EQ(server.asked("a.test", a), 1);
  EXPECT_EQ(server.asked("b.test", a), 2);
}

TEST_F(ResolverTest, CancelEndsTheWaiting) {
  server.set("silent.test", a, {.silent = true});
  const auto found = begin("silent.test");
  resolver->cancel();
  EXPECT_FALSE(*found);
  wait_for(*found);
  EXPECT_EQ((*found)->error().code, boost::asio::error::operation_aborted);
  server.set("silent.test", a, {.addresses = {"10.0.0.1"}});
  EXPECT_EQ(get("silent.test"), "10.0.0.1:80");
}

Task<void> hold(Resolver& resolver, std::string host) {
  Result<SocketAddress> result = co_await resolver.resolve(host, 80);
  static_cast<void>(result);
}

TEST_F(ResolverTest, OneWhoGivesUpGoesAtOnceAndTheOthersGetTheAnswer) {
  server.set("late.test", a, {.addresses = {"10.0.0.1"}, .delay = 60ms});
  Undertaking waiting;
  const auto given_up = begin("late.test", &waiting);
  const auto patient = begin("late.test");
  waiting.cancel();
  EXPECT_FALSE(*given_up) << "not from inside of whoever gives up";
  run_for(1ms);
  ASSERT_TRUE(*given_up);
  EXPECT_EQ((*given_up)->error().code, boost::asio::error::operation_aborted);
  EXPECT_FALSE(*patient);
  wait_for(*patient);
  EXPECT_TRUE((*patient)->has_value());
  EXPECT_EQ(server.asked("late.test", a), 1);
}

TEST_F(ResolverTest, GivingUpAfterTheAnswerOrTheResolverIsNothing) {
  server.set("one.test", a, {.addresses = {"10.0.0.1"}});
  server.set("silent.test", any, {.silent = true});
  Undertaking answered;
  const auto found = begin("one.test", &answered);
  wait_for(*found);
  answered.cancel();
  EXPECT_TRUE((*found)->has_value());
  Undertaking orphan;
  const auto nothing = std::make_shared<Found>();
  Task<void> held = look_up(*resolver, "silent.test", nothing, &orphan);  // started by hand, to own its frame
  held.await_suspend(std::noop_coroutine()).resume();
  resolver.reset();
  orphan.cancel();
  run_for(1ms);
  EXPECT_FALSE(*nothing);
}

TEST_F(ResolverTest, MayBeDestroyedWithQueriesUnderWay) {
  server.set("silent.test", a, {.silent = true});
  resolver = std::make_unique<Resolver>(loop, options);
  {
    // Started by hand, to own its frame.
    Task<void> waiting = hold(*resolver, "silent.test");
    Task<void> waiting_too = hold(*resolver, "silent.test");
    waiting.await_suspend(std::noop_coroutine()).resume();
    waiting_too.await_suspend(std::noop_coroutine()).resume();
    run_for(10ms);
    { const Task<void> gone = std::move(waiting_too); }
    resolver.reset();
    run_for(10ms);
  }
  run_for(10ms);
}

TEST_F(ResolverTest, AWaiterMayGoBeforeTheAnswer) {
  server.set("slow.test", a, {.addresses = {"10.0.0.1"}, .delay = 20ms});
  resolver = std::make_unique<Resolver>(loop, options);
  {
    Task<void> waiting = hold(*resolver, "slow.test");
    waiting.await_suspend(std::noop_coroutine()).resume();
  }
  EXPECT_EQ(get("slow.test"), "10.0.0.1:80");
}

}  // namespace
}  // namespace gateway::net
