#include "tls/session_cache.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace gateway::tls {
namespace {

std::string id_of(std::size_t number) { return "an id as long as those of TLS " + std::to_string(number); }

TEST(SessionCache, FindsWhatWasAddedUntilItIsRemoved) {
  SessionCache cache(1 << 20);
  EXPECT_EQ(cache.find("a"), "");
  cache.add("a", "first");
  cache.add("b", "other");
  EXPECT_EQ(cache.find("a"), "first");
  cache.add("a", "second");
  EXPECT_EQ(cache.find("a"), "second");
  EXPECT_EQ(cache.size(), 2U);
  cache.remove("a");
  cache.remove("never there");
  EXPECT_EQ(cache.find("a"), "");
  EXPECT_EQ(cache.find("b"), "other");
}

TEST(SessionCache, ForgetsTheOldestWhenItIsFull) {
  constexpr std::size_t bytes = 256 * 1024;
  constexpr std::size_t many = 10'000;
  SessionCache cache(bytes);
  for (std::size_t i = 0; i < many; ++i) cache.add(id_of(i), std::string(200, 's'));
  EXPECT_LT(cache.size(), bytes / 400);
  EXPECT_GT(cache.size(), bytes / 600);
  EXPECT_EQ(cache.find(id_of(0)), "");
  EXPECT_NE(cache.find(id_of(many - 1)), "");
}

TEST(SessionCache, KeepsNothingThatWouldFillIt) {
  SessionCache cache(16 * 1024);
  cache.add("small", "s");
  cache.add("large", std::string(4096, 'l'));
  EXPECT_EQ(cache.find("large"), "");
  EXPECT_EQ(cache.find("small"), "s");
  SessionCache none(0);
  none.add("a", "b");
  EXPECT_EQ(none.size(), 0U);
}

TEST(SessionCache, ServesManyThreads) {
  SessionCache cache(64 * 1024);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&cache, t] {
      for (std::size_t i = 0; i < 5'000; ++i) {
        cache.add(id_of(i), std::to_string(i));
        const std::string found = cache.find(id_of(i));
        EXPECT_TRUE(found.empty() || found == std::to_string(i));
        if (i % 4 == t) cache.remove(id_of(i));
      }
    });
  }
  for (std::thread& each : threads) each.join();
}

}  // namespace
}  // namespace gateway::tls
