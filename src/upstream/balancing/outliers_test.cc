#include "upstream/balancing/outliers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gateway::upstream {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

entity::OutlierDetection rules(double error_rate, double latency_factor = 0, double max_ejected = 50) {
  entity::OutlierDetection out;
  out.error_rate = error_rate;
  out.latency_factor = latency_factor;
  out.max_ejected = max_ejected;
  return out;
}

Observation good() { return {100, 0, 100, 20, false}; }
Observation failing(unsigned percent) { return {100, percent, 100, 20, false}; }
Observation slow(double latency) { return {100, 0, 100, latency, false}; }
Observation out() { return {0, 0, 0, 0, true}; }

TEST(Outliers, AreThoseThatFailTooOften) {
  EXPECT_THAT(outliers(std::vector{good(), failing(50), good(), failing(49)}, rules(50)), ElementsAre(1U));
  EXPECT_THAT(outliers(std::vector{good(), good()}, rules(50)), IsEmpty());
  EXPECT_THAT(outliers(std::vector{good(), failing(100)}, rules(0)), IsEmpty());
}

TEST(Outliers, AreThoseThatAreTooSlow) {
  EXPECT_THAT(outliers(std::vector{good(), good(), slow(61)}, rules(0, 3)), ElementsAre(2U));
  EXPECT_THAT(outliers(std::vector{good(), good(), slow(60)}, rules(0, 3)), IsEmpty());
  EXPECT_THAT(outliers(std::vector{slow(1000)}, rules(0, 3)), IsEmpty());  // slower than whom?
  EXPECT_THAT(outliers(std::vector{good(), slow(1000)}, rules(0, 3)), ElementsAre(1U));
}

TEST(Outliers, AreNeverWithinTheLeastLatency) { EXPECT_THAT(outliers(std::vector{slow(0.1), slow(0.1), slow(9)}, rules(0, 3)), IsEmpty()); }

TEST(Outliers, AreJudgedByEnoughRequestsOnly) { EXPECT_THAT(outliers(std::vector{good(), Observation{9, 9, 0, 0, false}}, rules(50)), IsEmpty()); }

TEST(Outliers, TheWorstGoFirstAndOnlyTheirShare) {
  const std::vector peers{failing(60), good(), failing(90), failing(70)};
  EXPECT_THAT(outliers(peers, rules(50)), ElementsAre(2U, 3U));
  EXPECT_THAT(outliers(std::vector{failing(60), out(), failing(90), good()}, rules(50)), ElementsAre(2U));
  EXPECT_THAT(outliers(peers, rules(50, 0, 0)), IsEmpty());
}

TEST(Outliers, OneMayGoWhereTheShareIsLessAndOneAlwaysStays) {
  EXPECT_THAT(outliers(std::vector{good(), failing(90), good()}, rules(50, 0, 10)), ElementsAre(1U));
  EXPECT_THAT(outliers(std::vector{failing(90), failing(90)}, rules(50, 0, 100)).size(), 1U);
  EXPECT_THAT(outliers(std::vector{failing(100)}, rules(50, 0, 100)), IsEmpty());
}

}  // namespace
}  // namespace gateway::upstream
