#include "plugin/local_counters.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace gateway::plugin {
namespace {

const System::time_point now = System::now();
const System::time_point later = now + std::chrono::hours(1);

std::int64_t add(ShardedCounters& counters, std::string_view name, std::int64_t by, System::time_point expires = later) {
  return counters.add(TableHash::of_process()(name), by, now, expires);
}

TEST(ShardedCounters, Add) {
  ShardedCounters counters;
  EXPECT_EQ(add(counters, "a", 0), 0);
  EXPECT_EQ(add(counters, "a", 1), 1);
  EXPECT_EQ(add(counters, "a", 2), 3);
  EXPECT_EQ(add(counters, "a", -1), 2);
  EXPECT_EQ(add(counters, "b", 1), 1);
  EXPECT_EQ(add(counters, "a", 0), 2);
}

TEST(ShardedCounters, ForgetWhatHasExpired) {
  ShardedCounters counters;
  EXPECT_EQ(add(counters, "a", 5, now - std::chrono::seconds(1)), 5);
  EXPECT_EQ(add(counters, "a", 1), 1);
  // Many that are past: the sweep between must leave the others alone.
  for (int i = 0; i < 100'000; ++i) add(counters, std::to_string(i), 1, now - std::chrono::seconds(1));
  EXPECT_EQ(add(counters, "a", 0), 1);
}

TEST(ShardedCounters, AreNeverNegativeNorMadeByTakingBack) {
  ShardedCounters counters;
  EXPECT_EQ(add(counters, "a", -1), 0);
  EXPECT_EQ(counters.size(), 0U);
  EXPECT_EQ(add(counters, "a", 1), 1);
  EXPECT_EQ(add(counters, "a", -2), 0);
  EXPECT_EQ(add(counters, "a", 1), 1);
}

TEST(ShardedCounters, KeepEveryCounterWhileThereIsRoom) {
  ShardedCounters counters;
  for (int round = 1; round <= 2; ++round) {
    for (int i = 0; i < 300'000; ++i) ASSERT_EQ(add(counters, std::to_string(i), 1), round);
  }
  EXPECT_EQ(counters.size(), 300'000U);
}

TEST(ShardedCounters, TakeBoundedMemoryAndForgetWhoCountedLeast) {
  ShardedCounters counters(64);
  for (int i = 0; i < 100; ++i) add(counters, "busy", 1);
  for (int i = 0; i < 200'000; ++i) {
    EXPECT_EQ(add(counters, std::to_string(i), 1), 1);
    if (i % 100 == 0) add(counters, std::to_string(i), 1);
  }
  EXPECT_LE(counters.size(), 256U * 48);
  EXPECT_EQ(add(counters, "busy", 0), 100);
}

TEST(ShardedCounters, AreExactAcrossThreads) {
  ShardedCounters counters;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) add(counters, "a", 1);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(add(counters, "a", 0), 40'000);
}

}  // namespace
}  // namespace gateway::plugin
