#include "snapshot/bounded_map.h"

#include <gtest/gtest.h>

#include <random>

namespace gateway::snapshot {
namespace {

std::string key(int number) { return "key-" + std::to_string(number); }

TEST(BoundedMap, FindsWhatWasPutAndForgetsWhatWasErased) {
  BoundedMap<int> map(4);
  map.put("a", 1);
  map.put("b", 2);
  map.put("a", 3);

  ASSERT_NE(map.find("a"), nullptr);
  EXPECT_EQ(*map.find("a"), 3);
  map.erase("a");
  map.erase("nothing");
  EXPECT_EQ(map.find("a"), nullptr);
  EXPECT_EQ(*map.find("b"), 2);
  map.clear();
  EXPECT_EQ(map.size(), 0U);
  map.put("c", 4);
  EXPECT_EQ(*map.find("c"), 4);
}

TEST(BoundedMap, NeverHoldsMoreThanItsLimit) {
  for (const std::size_t limit : {1U, 2U, 7U}) {
    BoundedMap<int> map(limit);
    for (int i = 0; i < 100; ++i) {
      map.put(key(i), i);
      EXPECT_LE(map.size(), limit);
      ASSERT_NE(map.find(key(i)), nullptr);  // the newest is in it, whatever else
    }
  }
}

TEST(BoundedMap, LetsTheOldestGoOfThoseNobodyAskedFor) {
  BoundedMap<int> map(3);
  for (int i = 0; i < 3; ++i) map.put(key(i), i);
  map.find(key(0));

  map.put(key(3), 3);

  EXPECT_NE(map.find(key(0)), nullptr);
  EXPECT_EQ(map.find(key(1)), nullptr);
  EXPECT_NE(map.find(key(2)), nullptr);
}

TEST(BoundedMap, KeepsWhatIsInUseThroughAFloodOfKeysAskedForOnce) {
  BoundedMap<int> map(100);
  for (int i = 0; i < 50; ++i) map.put(key(i), i);
  int lost = 0;
  for (int i = 1000; i < 11000; ++i) {
    map.put(key(i), i);
    if (map.find(key(i % 50)) == nullptr) ++lost;
  }
  EXPECT_EQ(lost, 0);
}

TEST(BoundedMap, MakesRoomForANewSetInUse) {
  BoundedMap<int> map(100);
  for (int i = 0; i < 100; ++i) map.put(key(i), i);
  int missed = 0;
  for (int round = 0; round < 50; ++round) {
    for (int i = 500; i < 550; ++i) {
      if (map.find(key(i)) != nullptr) continue;
      ++missed;
      map.put(key(i), i);
    }
  }
  EXPECT_EQ(missed, 50);
}

TEST(BoundedMap, StaysWholeWhateverIsDoneToIt) {
  std::mt19937 random(1);
  BoundedMap<int> map(20);
  for (int i = 0; i < 100'000; ++i) {
    const int one = static_cast<int>(random() % 60);
    switch (random() % 4) {
      case 0: map.erase(key(one)); break;
      case 1: map.put(key(one), one); break;
      default:
        if (const int* found = map.find(key(one))) {
          EXPECT_EQ(*found, one);
        }
    }
    ASSERT_LE(map.size(), 20U);
    if (random() % 5000 == 0) map.clear();
  }
}

}  // namespace
}  // namespace gateway::snapshot
