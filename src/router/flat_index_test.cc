#include "router/flat_index.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <utility>
#include <vector>

namespace gateway::router {
namespace {

using Reference = std::map<std::uint64_t, std::uint64_t>;

// Few parts, two of them neighbours, and few homes in each, the last ones: runs are long and begin again at the front.
std::uint64_t key_of(std::uint64_t random) { return (random % 3) << 55 | random % 40 << 32 | (0xffffffff - random % 5); }

void expect_same(const FlatIndex& index, const Reference& reference) {
  for (std::uint64_t i = 0; i < 600; ++i) {
    const auto found = reference.find(key_of(i));
    ASSERT_EQ(index.find(key_of(i)), found == reference.end() ? 0 : found->second);
  }
}

TEST(FlatIndex, CopiesDoNotSeeEachOthersChanges) {
  std::mt19937_64 random(11);
  std::vector<std::pair<FlatIndex, Reference>> all(1);
  for (std::uint64_t step = 1; step < 20000; ++step) {
    auto& [index, reference] = all[random() % all.size()];
    const std::uint64_t key = key_of(random());
    const std::uint64_t what = random() % 16;
    if (what == 0) {
      auto copy = std::as_const(all)[random() % all.size()];
      if (all.size() < 6) {
        all.push_back(std::move(copy));
      } else {
        all[random() % all.size()] = copy;
      }
    } else if (what < 8) {
      index.erase(key);
      reference.erase(key);
    } else {
      index.set(key, step);
      reference[key] = step;
    }
    if (step % 100 != 0) continue;
    for (const auto& [each, expected] : all) expect_same(each, expected);
  }
}

}  // namespace
}  // namespace gateway::router
