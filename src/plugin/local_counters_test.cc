#include "plugin/local_counters.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace gateway::plugin {
namespace {

TEST(ShardedCounters, Add) {
  ShardedCounters counters;
  const System::time_point later = System::now() + std::chrono::hours(1);
  EXPECT_EQ(counters.add("a", 0, later), 0);
  EXPECT_EQ(counters.add("a", 1, later), 1);
  EXPECT_EQ(counters.add("a", 2, later), 3);
  EXPECT_EQ(counters.add("a", -1, later), 2);
  EXPECT_EQ(counters.add("b", 1, later), 1);
  EXPECT_EQ(counters.add("a", 0, later), 2);
}

TEST(ShardedCounters, ForgetWhatHasExpired) {
  ShardedCounters counters;
  EXPECT_EQ(counters.add("a", 5, System::now() - std::chrono::seconds(1)), 5);
  EXPECT_EQ(counters.add("a", 1, System::now() + std::chrono::hours(1)), 1);
  // Many that are past: the sweep between must leave the others alone.
  for (int i = 0; i < 100'000; ++i) counters.add(std::to_string(i), 1, System::now() - std::chrono::seconds(1));
  EXPECT_EQ(counters.add("a", 0, System::now()), 1);
}

TEST(ShardedCounters, AreNeverNegativeNorMadeByTakingBack) {
  ShardedCounters counters;
  const System::time_point later = System::now() + std::chrono::hours(1);
  EXPECT_EQ(counters.add("a", -1, later), 0);
  EXPECT_EQ(counters.size(), 0U);
  EXPECT_EQ(counters.add("a", 1, later), 1);
  EXPECT_EQ(counters.add("a", -2, later), 0);
  EXPECT_EQ(counters.add("a", 1, later), 1);
}

TEST(ShardedCounters, KeepEveryCounterWhileThereIsRoom) {
  ShardedCounters counters;
  const System::time_point later = System::now() + std::chrono::hours(1);
  for (int round = 1; round <= 2; ++round) {
    for (int i = 0; i < 300'000; ++i) ASSERT_EQ(counters.add(std::to_string(i), 1, later), round);
  }
  EXPECT_EQ(counters.size(), 300'000U);
}

TEST(ShardedCounters, TakeBoundedMemoryAndForgetWhoCountedLeast) {
  ShardedCounters counters(64);
  const System::time_point later = System::now() + std::chrono::hours(1);
  for (int i = 0; i < 100; ++i) counters.add("busy", 1, later);
  for (int i = 0; i < 200'000; ++i) {
    EXPECT_EQ(counters.add(std::to_string(i), 1, later), 1);
    if (i % 100 == 0) counters.add(std::to_string(i), 1, later);
  }
  EXPECT_LE(counters.size(), 256U * 48);
  EXPECT_EQ(counters.add("busy", 0, later), 100);
}

TEST(ShardedCounters, AreExactAcrossThreads) {
  ShardedCounters counters;
  const System::time_point later = System::now() + std::chrono::hours(1);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) counters.add("a", 1, later);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counters.add("a", 0, later), 40'000);
}

}  // namespace
}  // namespace gateway::plugin
