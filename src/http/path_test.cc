#include "http/path.h"

#include <gtest/gtest.h>

namespace gateway::http {
namespace {

struct Case {
  const char* raw;
  const char* normal;
};

class NormalisedPath : public testing::TestWithParam<Case> {};

TEST_P(NormalisedPath, IsWhatTheRouterSees) {
  EXPECT_EQ(normalised(GetParam().raw), GetParam().normal);
  EXPECT_EQ(normalised(GetParam().normal), GetParam().normal) << "not idempotent";
  Arena arena;
  EXPECT_EQ(normalise(GetParam().raw, arena), GetParam().normal);
}

INSTANTIATE_TEST_SUITE_P(Cases, NormalisedPath,
                         testing::Values(Case{"/", "/"}, Case{"/a", "/a"}, Case{"/a/", "/a/"}, Case{"//a///b//", "/a/b/"}, Case{"/a/./b", "/a/b"},
                                         Case{"/a/.", "/a/"}, Case{"/a/..", "/"}, Case{"/a/b/..", "/a/"}, Case{"/a/b/../c", "/a/c"}, Case{"/../../x", "/x"},
                                         Case{"/..", "/"}, Case{"/a/..b", "/a/..b"}, Case{"/a/.b", "/a/.b"}, Case{"//a/%7Eb/../c", "/a/c"}, Case{"/%7e", "/~"},
                                         Case{"/%2f%2F", "/%2F%2F"}, Case{"/%c3%a9", "/%C3%A9"}, Case{"/\xC3\xA9", "/%C3%A9"}, Case{"/%2e%2e/a", "/a"},
                                         Case{"/a/%2e/b", "/a/b"}, Case{"/a%zz", "/a%25zz"}, Case{"/a%", "/a%25"}, Case{"/a%2", "/a%252"},
                                         Case{"/a%20b", "/a%20b"}, Case{"/a:b@c!$&'()*+,;=", "/a:b@c!$&'()*+,;="}, Case{"/%25", "/%25"}, Case{"", "/"},
                                         Case{"a", "/a"}, Case{"a//.b/c", "/a/.b/c"}, Case{"/a/./", "/a/"}, Case{"/a/../", "/"}));

TEST(NormalisePath, LeavesANormalPathWhereItIs) {
  Arena arena;
  const std::string_view raw = "/status/200";
  EXPECT_EQ(normalise(raw, arena).data(), raw.data());
}

}  // namespace
}  // namespace gateway::http
