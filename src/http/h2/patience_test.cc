#include "http/h2/patience.h"

#include <gtest/gtest.h>

namespace gateway::http::h2 {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

int taken_before_the_end(Patience& patience, Steady::time_point now) {
  int count = 0;
  while (patience.take(1, now)) ++count;
  return count;
}

TEST(Patience, LastsForSoManyAtOnceHoweverLongNothingWasAsked) {
  const Steady::time_point start{};
  Patience patience(1000, 50, start);
  EXPECT_EQ(taken_before_the_end(patience, start + hours(5)), 999);
}

TEST(Patience, GrowsBackWithTime) {
  const Steady::time_point start{};
  Patience patience(1000, 50, start);
  EXPECT_EQ(taken_before_the_end(patience, start), 999);
  EXPECT_EQ(taken_before_the_end(patience, start + seconds(2)), 99);
}

TEST(Patience, IsNotUsedUpByWhatComesSlowly) {
  Steady::time_point now{};
  Patience patience(10, 50, now);
  for (int i = 0; i < 10000; ++i, now += std::chrono::milliseconds(25)) ASSERT_TRUE(patience.take(1, now));
}

TEST(Patience, IsGivenBackUpToItsMeasureOnly) {
  const Steady::time_point start{};
  Patience patience(100, 0, start);
  ASSERT_EQ(taken_before_the_end(patience, start), 99);
  patience.give(5000);
  EXPECT_EQ(taken_before_the_end(patience, start), 99);
}

}  // namespace
}  // namespace gateway::http::h2
