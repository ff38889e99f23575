#include "base/ascii.h"

#include <gtest/gtest.h>

namespace gateway {
namespace {

TEST(LowerCase, ChangesTheLettersOfAsciiAndNothingElse) {
  EXPECT_EQ(lower_case("AZ az 09 @[`{ \xC3\x84"), "az az 09 @[`{ \xC3\x84");
  for (int c = -128; c < 128; ++c) {
    const char letter = static_cast<char>(c);
    EXPECT_EQ(lower(letter), c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : letter);
  }
}

TEST(LowerCase, IsWrittenWhereItShallBe) {
  char room[4] = {'-', '-', '-', '-'};
  EXPECT_EQ(lower_case("ABC", room), "abc");
  EXPECT_EQ(room[3], '-');
}

}  // namespace
}  // namespace gateway
