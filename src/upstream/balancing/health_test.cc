#include "upstream/balancing/health.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace gateway::upstream {
namespace {

using State = Health::State;

struct Limits {
  std::uint8_t successes = 0, tcp_failures = 0, timeouts = 0, http_failures = 0;
};

// Events as letters: s(uccess), t(cp failure), o (time-out), h(ttp failure); H and U are marks by hand.
Health run(std::string_view events, const Limits& limits, Health health = {}) {
  for (const char event : events) {
    switch (event) {
      case 's': health = after(health, Event::success, limits.successes); break;
      case 't': health = after(health, Event::tcp_failure, limits.tcp_failures); break;
      case 'o': health = after(health, Event::timeout, limits.timeouts); break;
      case 'h': health = after(health, Event::http_failure, limits.http_failures); break;
      case 'H': health = Health::marked(true); break;
      case 'U': health = Health::marked(false); break;
      default: ADD_FAILURE() << event;
    }
  }
  return health;
}

struct Case {
  const char* name;
  const char* events;
  Limits limits;
  Health expected;
};

class HealthTable : public testing::TestWithParam<Case> {};

TEST_P(HealthTable, IsAsTheContractSays) {
  const Case& given = GetParam();
  const Health health = run(given.events, given.limits);
  EXPECT_EQ(health.state, given.expected.state);
  EXPECT_EQ(health.successes, given.expected.successes);
  EXPECT_EQ(health.tcp_failures, given.expected.tcp_failures);
  EXPECT_EQ(health.timeouts, given.expected.timeouts);
  EXPECT_EQ(health.http_failures, given.expected.http_failures);
}

INSTANTIATE_TEST_SUITE_P(All, HealthTable,
                         testing::Values(Case{"new", "", {1, 1, 1, 1}, {State::healthy, 0, 0, 0, 0}},
                                         Case{"success_of_the_healthy_is_ignored", "sss", {2, 2, 2, 2}, {State::healthy, 0, 0, 0, 0}},
                                         Case{"first_failure", "t", {2, 2, 2, 2}, {State::mostly_healthy, 0, 1, 0, 0}},
                                         Case{"limit_of_one", "o", {2, 2, 1, 2}, {State::unhealthy, 0, 0, 1, 0}},
                                         Case{"limit_reached", "hhh", {2, 2, 2, 3}, {State::unhealthy, 0, 0, 0, 3}},
                                         Case{"kinds_add_up_each_by_itself", "ththt", {2, 4, 4, 4}, {State::mostly_healthy, 0, 3, 0, 2}},
                                         Case{"one_kind_tells", "tohto", {2, 9, 2, 9}, {State::unhealthy, 0, 2, 2, 1}},
                                         Case{"success_clears_all_failures", "ttoohhs", {3, 3, 3, 3}, {State::mostly_healthy, 1, 0, 0, 0}},
                                         Case{"enough_successes_are_healthy", "ttss", {2, 3, 3, 3}, {State::healthy, 2, 0, 0, 0}},
                                         Case{"failure_clears_successes", "tst", {3, 3, 3, 3}, {State::mostly_healthy, 0, 1, 0, 0}},
                                         Case{"failures_of_the_unhealthy_are_ignored", "tthhoo", {2, 2, 2, 2}, {State::unhealthy, 0, 2, 0, 0}},
                                         Case{"first_success_of_the_unhealthy", "tts", {2, 2, 2, 2}, {State::mostly_unhealthy, 1, 0, 0, 0}},
                                         Case{"recovery", "ttss", {2, 2, 2, 2}, {State::healthy, 2, 0, 0, 0}},
                                         Case{"recovery_begins_anew_after_a_failure", "ttsts", {2, 2, 2, 2}, {State::mostly_unhealthy, 1, 0, 0, 0}},
                                         Case{"back_to_unhealthy_from_mostly", "ttstt", {3, 2, 2, 2}, {State::unhealthy, 0, 2, 0, 0}},
                                         Case{"limit_zero_counts_nothing", "tttttttt", {1, 0, 1, 1}, {State::healthy, 0, 0, 0, 0}},
                                         // The default of passive checks: answers never speak for a peer, so that failures add up for ever.
                                         Case{"no_successes_no_clearing", "tssst", {0, 3, 3, 3}, {State::mostly_healthy, 0, 2, 0, 0}},
                                         Case{"and_so_it_ends", "tssstsst", {0, 3, 3, 3}, {State::unhealthy, 0, 3, 0, 0}},
                                         Case{"marked_unhealthy", "sU", {2, 2, 2, 2}, {State::unhealthy, 0, 0, 0, 0}},
                                         Case{"marked_healthy_forgets_counts", "ttH", {2, 3, 2, 2}, {State::healthy, 0, 0, 0, 0}},
                                         Case{"checks_go_on_after_a_mark", "UssHtt", {2, 2, 2, 2}, {State::unhealthy, 0, 2, 0, 0}},
                                         // Elsewhere peers stick: unhealthy, and no counter moves any more.
                                         Case{"never_stuck", "tttttttttUss", {2, 2, 2, 2}, {State::healthy, 2, 0, 0, 0}}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Health, ALimitOf255IsReachedAndNothingRunsOver) {
  const Limits limits{255, 255, 255, 255};
  EXPECT_TRUE(run(std::string(254, 't'), limits).usable());
  EXPECT_FALSE(run(std::string(255, 't'), limits).usable());
  EXPECT_FALSE(run(std::string(1000, 'h'), limits).usable());
  EXPECT_EQ(run(std::string(1000, 'h'), limits).http_failures, 255);
  EXPECT_TRUE(run(std::string(255, 's'), limits, Health::marked(false)).usable());
}

TEST(Health, ALimitThatWasLoweredIsReachedAtOnce) {
  const Health before = run("tttt", {2, 9, 9, 9});
  EXPECT_FALSE(after(before, Event::tcp_failure, 3).usable());
}

// From every state there is a way back, whatever happened before.
TEST(Health, NoStateSticks) {
  for (const std::string events : {"t", "tt", "tts", "ttst", "U", "Us", "Uh", "hhhh", "ooss", "tohtoh"}) {
    const Health health = run(events + "ss", {2, 2, 2, 2});
    EXPECT_EQ(health.state, State::healthy) << events;
  }
}

}  // namespace
}  // namespace gateway::upstream
