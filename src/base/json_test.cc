#include "base/json.h"

#include <gtest/gtest.h>

namespace gateway {
namespace {

std::string nested(int depth) { return std::string(static_cast<std::size_t>(depth), '[') + std::string(static_cast<std::size_t>(depth), ']'); }

TEST(Json, SaysWhetherATextIsJson) {
  EXPECT_EQ(parse_json(R"({"a":[1,"b"]})"), (Json{{"a", {1, "b"}}}));
  EXPECT_TRUE(parse_json("null").is_null());
  for (const char* text : {"", "{", "{]", "nul", "1 2", "{\"a\":\"\xff\"}"}) {
    EXPECT_TRUE(parse_json(text).is_discarded()) << text;
    EXPECT_TRUE(parse_json(text, 8).is_discarded()) << text;
  }
}

TEST(Json, IsRefusedWhenItIsTooDeep) {
  EXPECT_TRUE(parse_json(nested(8), 8).is_array());
  EXPECT_TRUE(parse_json(nested(9), 8).is_discarded());
  EXPECT_TRUE(parse_json(nested(100000), 8).is_discarded());
  EXPECT_TRUE(parse_json(R"({"a":)" + nested(8) + "}", 8).is_discarded());
}

TEST(Json, IsWrittenWhateverItsStringsHold) { EXPECT_EQ(write_json(Json{{"b", 1}, {"a", "\xff"}}), "{\"a\":\"\xef\xbf\xbd\",\"b\":1}"); }

}  // namespace
}  // namespace gateway
