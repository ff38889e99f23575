#include "entity/target.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace gateway::entity {
namespace {

TEST(Target, IsWrittenOneWay) {
  EXPECT_EQ(normalised_target("host"), "host:8000");
  EXPECT_EQ(normalised_target("host.test:1"), "host.test:1");
  EXPECT_EQ(normalised_target("127.0.0.1"), "127.0.0.1:8000");
  EXPECT_EQ(normalised_target("::1"), "[0000:0000:0000:0000:0000:0000:0000:0001]:8000");
  EXPECT_EQ(normalised_target("[fe80::A]:65535"), "[fe80:0000:0000:0000:0000:0000:0000:000a]:65535");
}

TEST(Target, WrittenAgainStaysAsItIs) {
  for (const char* text : {"host", "a_b.c:2", "10.0.0.1", "::", "[::1]:80"}) {
    const std::optional<std::string> once = normalised_target(text);
    ASSERT_TRUE(once) << text;
    EXPECT_EQ(normalised_target(*once), once);
  }
}

TEST(Target, IsANameOrAnAddress) {
  for (const char* text :
       {"",          ":",        ":80",  "host:",   "host:x", "host:-1",      "host:65536", "a b",   "a..b",  ".a",         "a.",           "a-",
        "1.2.3.256", "01.2.3.4", "[::1", "[::1]80", "[]:80",  "[1.2.3.4]:80", "::1:zz",     "1:2:3", "ho/st", "host:80:80", "\xC3\xA9.test"}) {
    EXPECT_FALSE(normalised_target(text)) << text;
  }
}

TEST(Target, FromARowOfOldIsWrittenAsNow) {
  const Target target = Target::from_json({{"target", "::1"}, {"weight", 7}, {"created_at", 1.5}});
  EXPECT_EQ(target.name, "[0000:0000:0000:0000:0000:0000:0000:0001]");
  EXPECT_EQ(target.port, 8000);
  EXPECT_EQ(target.weight, 7U);
  EXPECT_EQ(target.created_at, 1.5);
}

}  // namespace
}  // namespace gateway::entity
