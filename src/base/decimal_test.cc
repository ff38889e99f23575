#include "base/decimal.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace gateway {
namespace {

std::string written(std::uint64_t value) {
  std::array<char, 20> room;
  char* const end = room.data() + room.size();
  return {write_decimal(end, value), end};
}

TEST(WriteDecimal, WritesNumbersOfAnyLength) {
  for (const std::uint64_t value :
       {0ULL, 9ULL, 10ULL, 99ULL, 100ULL, 101ULL, 999ULL, 1000ULL, 1009ULL, 12345ULL, 1'000'000'000ULL, 4'294'967'295ULL, 4'294'967'296ULL}) {
    EXPECT_EQ(written(value), std::to_string(value));
  }
  for (std::uint64_t value = 7; value < std::numeric_limits<std::uint64_t>::max() / 13; value *= 13) EXPECT_EQ(written(value), std::to_string(value));
  EXPECT_EQ(written(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
}

}  // namespace
}  // namespace gateway
