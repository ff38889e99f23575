#include "base/shared_map.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace gateway {
namespace {

using Map = SharedMap<int, std::string>;
using Reference = std::map<int, std::string>;

struct HashOfView {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
};

void expect_same(const Map& map, const Reference& reference) {
  EXPECT_EQ(map.size(), reference.size());
  Reference seen;
  map.for_each([&](int key, const std::string& value) { EXPECT_TRUE(seen.emplace(key, value).second); });
  EXPECT_EQ(seen, reference);
  for (const auto& [key, value] : reference) {
    const std::string* found = map.find(key);
    ASSERT_NE(found, nullptr) << key;
    EXPECT_EQ(*found, value);
  }
}

TEST(SharedMap, IsEmptyAtFirst) {
  Map map;
  EXPECT_EQ(map.find(1), nullptr);
  EXPECT_FALSE(map.erase(1));
  expect_same(map, {});
}

TEST(SharedMap, CopiesDoNotSeeEachOthersChanges) {
  std::mt19937 random(7);
  std::vector<std::pair<Map, Reference>> all(1);
  for (int step = 0; step < 20000; ++step) {
    auto& [map, reference] = all[random() % all.size()];
    const int key = static_cast<int>(random() % 3000);
    switch (random() % 8) {
      case 0:
      case 1:
      case 2: EXPECT_EQ(map.erase(key), reference.erase(key) == 1); break;
      case 3:
        if (all.size() < 6) {
          auto copy = all[random() % all.size()];
          all.push_back(std::move(copy));
        } else {
          const auto& other = all[random() % all.size()];
          all[random() % all.size()] = other;
        }
        break;
      default: map.set(key, std::to_string(step)); reference[key] = std::to_string(step);
    }
  }
  for (const auto& [map, reference] : all) expect_same(map, reference);
}

TEST(SharedMap, WhatWasWrittenStaysWhereItIsUntilACopyIsMade) {
  Map map;
  map.set(1, "one");
  const std::string* before = map.find(1);
  map.set(1, "uno");
  EXPECT_EQ(map.find(1), before);
  const Map copy = map;
  EXPECT_EQ(copy.find(1), before);
  map.set(1, "eins");
  EXPECT_EQ(*copy.find(1), "uno");
  EXPECT_EQ(*map.find(1), "eins");
}

TEST(SharedMap, AViewFindsAString) {
  SharedMap<std::string, int, HashOfView> map;
  map.set("name", 5);
  ASSERT_NE(map.find(std::string_view("name")), nullptr);
  EXPECT_EQ(map.find(std::string_view("other")), nullptr);
}

// What a copy shares is freed by whoever lets go of it last, here on either thread.
TEST(SharedMap, ReadersOfACopyNeedNoLock) {
  Map map;
  for (int i = 0; i < 500; ++i) map.set(i, "0");
  auto copy = std::make_unique<const Map>(map);
  std::atomic<int> rounds = 0;
  std::thread reader([&] {
    for (; rounds < 20; ++rounds) {
      for (int i = 0; i < 500; ++i) EXPECT_EQ(*copy->find(i), "0");
    }
    copy.reset();
  });
  for (int round = 1; rounds < 20; ++round) {
    const Map next = map;
    for (int i = 0; i < 500; ++i) map.set(i, std::to_string(round));
  }
  reader.join();
  EXPECT_EQ(map.size(), 500U);
}

}  // namespace
}  // namespace gateway
