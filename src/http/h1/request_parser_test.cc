#include "http/h1/request_parser.h"

#include <gtest/gtest.h>

namespace gateway::http::h1 {
namespace {

struct Parsed {
  Arena arena;
  RequestHead head{arena};
  Limits limits;
  HeadState state = HeadState::incomplete;
  unsigned status = 0;
  std::size_t consumed = 0;

  explicit Parsed(std::string_view bytes, Limits with = {}) : limits(with) {
    RequestParser parser(limits);
    state = parser.parse(bytes, head);
    status = parser.status();
    consumed = parser.consumed();
  }
};

TEST(RequestParser, ReadsAnOrdinaryHead) {
  const Parsed parsed("GET /a?b=c HTTP/1.1\r\nHost: example.com:80\r\nX-Thing:  v \r\n\r\nrest");
  ASSERT_EQ(parsed.state, HeadState::complete);
  EXPECT_EQ(parsed.head.method, "GET");
  EXPECT_EQ(parsed.head.path, "/a");
  EXPECT_EQ(parsed.head.query, "b=c");
  EXPECT_EQ(parsed.head.authority, "example.com:80");
  EXPECT_EQ(parsed.head.headers.value("x-thing"), "v");
  EXPECT_TRUE(parsed.head.keep_alive);
  EXPECT_EQ(parsed.head.framing.kind, Framing::Kind::none);
  EXPECT_EQ(parsed.consumed, std::string_view("GET /a?b=c HTTP/1.1\r\nHost: example.com:80\r\nX-Thing:  v \r\n\r\n").size());
}

TEST(RequestParser, ReadsAHeadThatComesByteByByte) {
  const std::string_view bytes = "\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
  Arena arena;
  RequestHead head(arena);
  const Limits limits;
  RequestParser parser(limits);
  for (std::size_t i = 1; i < bytes.size(); ++i) ASSERT_EQ(parser.parse(bytes.substr(0, i), head), HeadState::incomplete) << i;
  ASSERT_EQ(parser.parse(bytes, head), HeadState::complete);
  EXPECT_EQ(head.framing.length, 5U);
  EXPECT_EQ(parser.consumed(), bytes.size());
}

// Its bytes may have moved since: a refusal that is logged must not look where they were.
TEST(RequestParser, KeepsNothingOfAHeadThatDoesNotEnd) {
  const std::string_view part = "GET /a?b HTTP/1.1\r\nHost: a\r\nUser-Agent: b\r\n";
  for (const std::string_view more : {"", "X: y\n", "X: \n"}) {
    Arena arena;
    RequestHead head(arena);
    const Limits limits;
    RequestParser parser(limits);
    {
      const std::string before(part);
      ASSERT_EQ(parser.parse(before, head), HeadState::incomplete);
    }
    const std::string all = std::string(part) + std::string(more);
    ASSERT_EQ(parser.parse(all, head), more.empty() ? HeadState::incomplete : HeadState::failed);
    EXPECT_TRUE(head.headers.empty());
    for (const std::string_view text : {head.method, head.target, head.path, head.query, head.authority}) EXPECT_TRUE(text.empty());
  }
}

TEST(RequestParser, TakesTheAuthorityOfAnAbsoluteTarget) {
  const Parsed parsed("GET http://b/x?y HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_EQ(parsed.state, HeadState::complete);
  EXPECT_EQ(parsed.head.authority, "b");
  EXPECT_EQ(parsed.head.target, "/x?y");
}

TEST(RequestParser, DropsHeaderNamesWithUnderscoresUnlessTold) {
  const std::string_view bytes = "GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 1\r\n\r\n";
  EXPECT_EQ(Parsed(bytes).head.headers.find("X_Forwarded_For"), nullptr);
  EXPECT_NE(Parsed(bytes, {.allow_underscores = true}).head.headers.find("X_Forwarded_For"), nullptr);
}

TEST(RequestParser, KnowsWhoMayKeepTheConnection) {
  EXPECT_FALSE(Parsed("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, close\r\n\r\n").head.keep_alive);
  EXPECT_FALSE(Parsed("GET / HTTP/1.0\r\n\r\n").head.keep_alive);
  EXPECT_TRUE(Parsed("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").head.keep_alive);
}

TEST(RequestParser, SeesAWebSocketUpgradeOnlyWhenBothHeadersSaySo) {
  EXPECT_TRUE(Parsed("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").head.upgrade_websocket);
  EXPECT_FALSE(Parsed("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n").head.upgrade_websocket);
}

TEST(RequestParser, TakesAnUpgradeWithABodyForAnOrdinaryRequest) {
  const std::string head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
  EXPECT_FALSE(Parsed(head + "Content-Length: 5\r\n\r\n").head.upgrade_websocket);
  EXPECT_FALSE(Parsed(head + "Transfer-Encoding: chunked\r\n\r\n").head.upgrade_websocket);
  EXPECT_TRUE(Parsed(head + "Content-Length: 0\r\n\r\n").head.upgrade_websocket);
}

struct Refused {
  std::string bytes;
  unsigned status;
};

class RefusedHead : public testing::TestWithParam<Refused> {};

TEST_P(RefusedHead, FailsWithItsStatus) {
  const Parsed parsed(GetParam().bytes);
  EXPECT_EQ(parsed.state, HeadState::failed) << GetParam().bytes;
  EXPECT_EQ(parsed.status, GetParam().status) << GetParam().bytes;
}

std::string with(const std::string& lines) { return "POST / HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n"; }

INSTANTIATE_TEST_SUITE_P(
    Lines, RefusedHead,
    testing::Values(Refused{with("Content-Length: 5\r\nContent-Length: 5\r\n"), 400}, Refused{with("Content-Length: 5, 5\r\n"), 400},
                    Refused{with("Content-Length: +5\r\n"), 400}, Refused{with("Content-Length: -1\r\n"), 400}, Refused{with("Content-Length: 0x5\r\n"), 400},
                    Refused{with("Content-Length: 1 0\r\n"), 400}, Refused{with("Content-Length: \r\n"), 400},
                    Refused{with("Content-Length: 18446744073709551616\r\n"), 400}, Refused{with("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"), 400},
                    Refused{with("Transfer-Encoding: xchunked\r\n"), 400}, Refused{with("Transfer-Encoding: chunked, identity\r\n"), 400},
                    Refused{with("Transfer-Encoding : chunked\r\n"), 400}, Refused{with("Transfer-Encoding:\r\n chunked\r\n"), 400},
                    Refused{with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400}, Refused{with("Host: a\r\n"), 400},
                    Refused{with(": x\r\n"), 400}, Refused{with("no colon\r\n"), 400}, Refused{with(std::string("X: a\0b\r\n", 8)), 400},
                    Refused{with("X: a\rb\r\n"), 400}, Refused{with("X\x01: a\r\n"), 400}, Refused{with("X: a\nY: b\r\n"), 400},
                    Refused{with("Expect: foo\r\n"), 417}, Refused{"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
                    Refused{"GET / HTTP/1.1\r\n\r\n", 400}, Refused{"GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", 400},
                    Refused{"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400}, Refused{"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
                    Refused{"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400}, Refused{"GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", 400},
                    Refused{"GET / HTTP/9.9\r\nHost: a\r\n\r\n", 505}, Refused{"GET / http/1.1\r\nHost: a\r\n\r\n", 400},
                    Refused{"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400}, Refused{"GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", 400},
                    Refused{"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400}, Refused{"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
                    Refused{"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400}, Refused{"GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
                    Refused{"GET /" + std::string(40000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414}, Refused{"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 405},
                    Refused{"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405}, Refused{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
                    Refused{"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400}, Refused{"GET / HTTP/1.1\nHost: a\n\n", 400}, Refused{"\x16\x03\x01\x02", 400},
                    Refused{"\rt\r\n\r\n", 400}, Refused{"\r\n\rG\r\n\r\n", 400}, Refused{"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
                    Refused{"GET http://user@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400}, Refused{std::string(40, 'G'), 400},
                    Refused{"GET /" + std::string(9000, 'a'), 414}, Refused{"GET /" + std::string(8200, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
                    Refused{with("X: " + std::string(40000, 'a') + "\r\n"), 431}));

TEST(RequestParser, RefusesTooManyHeaders) {
  std::string lines;
  for (int i = 0; i < 19; ++i) lines += "A: b\r\n";
  const Limits twenty{.max_headers = 20};
  EXPECT_EQ(Parsed(with(lines), twenty).state, HeadState::complete);
  EXPECT_EQ(Parsed(with(lines + "A: b\r\n"), twenty).status, 431U);
}

TEST(Authority, MayBeANameOrAnAddressWithAPort) {
  for (const char* good : {"", "a", "a.b-c_d", "1.2.3.4:80", "[::1]", "[::1]:8000", "*.a"}) EXPECT_TRUE(is_authority(good)) << good;
  for (const char* bad : {":80", "a:b", "a:80:80", "[::1", "[]", "[g::]", "a?b", "a\"b"}) {
    EXPECT_FALSE(is_authority(bad)) << bad;
  }
}

}  // namespace
}  // namespace gateway::http::h1
