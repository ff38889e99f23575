#include "http/h2/request_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace gateway::http::h2 {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

class Built {
 public:
  explicit Built(const Fields& fields, bool ends = true, const h1::Limits& limits = {}) : builder(head, limits) {
    for (const auto& [name, value] : fields) builder.add(name, value);
    status = builder.finish(ends);
  }

  Arena arena;
  RequestHead head{arena};
  RequestBuilder builder;
  unsigned status = 0;
};

Fields with(Fields more) {
  Fields fields = {{":method", "GET"}, {":scheme", "https"}, {":authority", "a.test"}, {":path", "/p?q=1"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

Fields upgraded(Fields more) {
  Fields fields = {{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "https"}, {":authority", "a.test"}, {":path", "/chat"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

TEST(RequestBuilder, MakesTheHeadThatAllVersionsShare) {
  const Built built(with({{"accept", "x"}, {"x-own", " spaced "}}));
  ASSERT_EQ(built.status, 0U);
  EXPECT_EQ(built.head.method, "GET");
  EXPECT_EQ(built.head.target, "/p?q=1");
  EXPECT_EQ(built.head.path, "/p");
  EXPECT_EQ(built.head.query, "q=1");
  EXPECT_EQ(built.head.authority, "a.test");
  EXPECT_EQ(built.head.version, Version::http_2);
  EXPECT_EQ(built.head.headers.value(Name::host), "a.test");
  EXPECT_EQ(built.head.headers.value("X-Own"), "spaced");
  EXPECT_EQ(built.head.framing.kind, Framing::Kind::none);
}

TEST(RequestBuilder, KnowsHowABodyEnds) {
  EXPECT_EQ(Built(with({}), false).head.framing.kind, Framing::Kind::chunked);
  const Built declared(with({{"content-length", "12"}}), false);
  EXPECT_EQ(declared.head.framing.kind, Framing::Kind::length);
  EXPECT_EQ(declared.head.framing.length, 12U);
  EXPECT_EQ(Built(with({{"content-length", "1"}, {"content-length", "1"}}), false).status, 400U);
  EXPECT_EQ(Built(with({{"content-length", "-1"}}), false).status, 400U);
}

TEST(RequestBuilder, JoinsTheCrumbsOfACookie) {
  const Built built(with({{"cookie", "a=1"}, {"x", "y"}, {"cookie", "b=2"}}));
  EXPECT_EQ(built.head.headers.count("Cookie"), 1U);
  EXPECT_EQ(built.head.headers.value("Cookie"), "a=1; b=2");
}

TEST(RequestBuilder, TakesHostForAuthorityButNotBesideAnotherOne) {
  const Fields alone = {{":method", "GET"}, {":scheme", "https"}, {":path", "/"}, {"host", "b.test"}};
  EXPECT_EQ(Built(alone).head.authority, "b.test");
  EXPECT_EQ(Built(with({{"host", "A.test"}})).status, 0U);
  EXPECT_EQ(Built(with({{"host", "b.test"}})).status, 400U);
  EXPECT_EQ(Built(with({{"host", "a.test"}, {"host", "a.test"}})).status, 400U);
  EXPECT_EQ(Built({{":method", "GET"}, {":scheme", "https"}, {":path", "/"}}).status, 400U);
}

TEST(RequestBuilder, RefusesTargetsThatAreNone) {
  for (const std::string path : {"", "p", "http://a.test/", "/a b", "/a#b", "/a\x7F", "/%00", "*"}) {
    EXPECT_EQ(Built({{":method", "GET"}, {":scheme", "https"}, {":authority", "a.test"}, {":path", path}}).status, 400U) << path;
  }
  EXPECT_EQ(Built({{":method", "OPTIONS"}, {":scheme", "https"}, {":authority", "a.test"}, {":path", "*"}}).status, 0U);
  EXPECT_EQ(Built({{":method", "GE T"}, {":scheme", "https"}, {":authority", "a.test"}, {":path", "/"}}).status, 400U);
}

TEST(RequestBuilder, HoldsToTheLimits) {
  h1::Limits limits;
  limits.max_headers = 3;
  limits.max_head_bytes = 1000;
  limits.max_target_bytes = 100;
  const auto status = [&](const Fields& fields) { return Built(fields, true, limits).status; };
  EXPECT_EQ(status(with({{"a", "1"}, {"b", "2"}, {"c", "3"}})), 0U);
  EXPECT_EQ(status(with({{"a", "1"}, {"b", "2"}, {"c", "3"}, {"d", "4"}})), 431U);
  EXPECT_EQ(status(with({{"a", std::string(1000, 'v')}})), 431U);
  EXPECT_EQ(status({{":method", "GET"}, {":scheme", "https"}, {":authority", "a.test"}, {":path", "/" + std::string(200, 'p')}}), 414U);
}

TEST(RequestBuilder, RefusesFieldsThatCouldBecomeOthers) {
  EXPECT_EQ(Built(with({{"x", "a\r\nb: c"}})).status, 400U);
  EXPECT_EQ(Built(with({{"x", std::string("a\0b", 3)}})).status, 400U);
  EXPECT_EQ(Built(with({{"x y", "a"}})).status, 400U);
  EXPECT_EQ(Built(with({{"", "a"}})).status, 400U);
}

TEST(RequestBuilder, LeavesOutNamesWithUnderscoresUnlessTheyAreAllowed) {
  EXPECT_EQ(Built(with({{"x_y", "1"}})).head.headers.find("x_y"), nullptr);
  h1::Limits limits;
  limits.allow_underscores = true;
  EXPECT_NE(Built(with({{"x_y", "1"}}), true, limits).head.headers.find("x_y"), nullptr);
}

TEST(RequestBuilder, MakesAWebSocketOfAnExtendedConnect) {
  const Built built(upgraded({{"sec-websocket-version", "13"}}), false);
  ASSERT_EQ(built.status, 0U);
  EXPECT_TRUE(built.head.upgrade_websocket);
  EXPECT_EQ(built.head.method, "GET");
  EXPECT_EQ(built.head.path, "/chat");
  EXPECT_EQ(built.head.framing.kind, Framing::Kind::none);
}

TEST(RequestBuilder, RefusesOtherConnects) {
  EXPECT_EQ(Built(upgraded({}), true).status, 400U);
  EXPECT_EQ(Built(upgraded({{"content-length", "5"}}), false).status, 400U);
  EXPECT_EQ(Built({{":method", "CONNECT"}, {":authority", "a.test:443"}}, false).status, 405U);
  EXPECT_EQ(Built({{":method", "CONNECT"}, {":protocol", "connect-udp"}, {":scheme", "https"}, {":authority", "a.test"}, {":path", "/"}}, false).status, 405U);
  EXPECT_EQ(Built(with({{":protocol", "websocket"}}), false).status, 400U);
}

TEST(RequestBuilder, KnowsOneExpectationOnly) {
  EXPECT_TRUE(Built(with({{"expect", "100-Continue"}}), false).head.expects_continue);
  EXPECT_FALSE(Built(with({{"expect", "100-continue"}}), true).head.expects_continue);
  EXPECT_EQ(Built(with({{"expect", "tea"}}), false).status, 417U);
}

}  // namespace
}  // namespace gateway::http::h2
