#include "plugin/arguments.h"

#include <gtest/gtest.h>

namespace gateway::plugin {
namespace {

TEST(Arguments, ComeInOrderAndAsTheyWere) {
  std::string_view query = "a=1&&b&c=&%61=%zz";
  std::vector<std::string> raw;
  while (const std::optional<Argument> each = next_argument(query)) raw.emplace_back(each->raw);
  EXPECT_EQ(raw, (std::vector<std::string>{"a=1", "b", "c=", "%61=%zz"}));
}

TEST(Arguments, TellAnEmptyValueFromNone) {
  std::string_view query = "a=&b";
  EXPECT_TRUE(next_argument(query)->has_value);
  EXPECT_FALSE(next_argument(query)->has_value);
  EXPECT_FALSE(next_argument(query));
}

TEST(Arguments, AreDecoded) {
  http::Arena arena;
  EXPECT_EQ(decoded("a%20b+c%2B", arena), "a b c+");
  EXPECT_EQ(decoded("%", arena), "%");
  EXPECT_EQ(decoded("%4", arena), "%4");
  EXPECT_EQ(decoded("%4g%41", arena), "%4gA");
  const std::string_view plain = "plain";
  EXPECT_EQ(decoded(plain, arena).data(), plain.data());
}

TEST(Arguments, AreComparedDecoded) {
  EXPECT_TRUE(decodes_to("api%6Bey", "apikey"));
  EXPECT_FALSE(decodes_to("apikey2", "apikey"));
  EXPECT_FALSE(decodes_to("apike", "apikey"));
  EXPECT_FALSE(decodes_to("APIKEY", "apikey"));
}

TEST(Arguments, AreTakenOutOfAQueryThatStaysAsItWasElse) {
  http::Arena arena;
  EXPECT_EQ(without_argument("a=%20&k=1&b=2&%6b=3&k", "k", arena), "a=%20&b=2");
  EXPECT_EQ(without_argument("k=1", "k", arena), "");
  EXPECT_EQ(without_argument("", "k", arena), "");
  EXPECT_EQ(without_argument("kk=1", "k", arena), "kk=1");
}

}  // namespace
}  // namespace gateway::plugin
