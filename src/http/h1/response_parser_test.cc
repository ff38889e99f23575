#include "http/h1/response_parser.h"

#include <gtest/gtest.h>

namespace gateway::http::h1 {
namespace {

struct Parsed {
  Arena arena;
  ResponseHead head{arena};
  HeadState state;
  explicit Parsed(std::string_view bytes, std::string_view method = "GET") { state = ResponseParser().parse(bytes, head, method); }
};

TEST(ResponseParser, ReadsAnOrdinaryHead) {
  const Parsed parsed("HTTP/1.1 200 All right\r\nContent-Length: 3\r\n\r\nabc");
  ASSERT_EQ(parsed.state, HeadState::complete);
  EXPECT_EQ(parsed.head.status, 200U);
  EXPECT_EQ(parsed.head.reason, "All right");
  EXPECT_EQ(parsed.head.framing.length, 3U);
  EXPECT_TRUE(parsed.head.keep_alive);
}

TEST(ResponseParser, KnowsWhichAnswersHaveNoBody) {
  EXPECT_EQ(Parsed("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HEAD").head.framing.kind, Framing::Kind::none);
  EXPECT_EQ(Parsed("HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n").head.framing.kind, Framing::Kind::none);
  const Parsed broken("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_EQ(broken.head.framing.kind, Framing::Kind::none);
  EXPECT_FALSE(broken.head.keep_alive) << "the bytes behind it would be taken for the next answer";
}

TEST(ResponseParser, ReadsToTheEndWhenNothingElseSaysWhereThatIs) {
  const Parsed parsed("HTTP/1.1 200\r\n\r\n");
  EXPECT_EQ(parsed.head.framing.kind, Framing::Kind::until_close);
  EXPECT_FALSE(parsed.head.keep_alive);
}

TEST(ResponseParser, LetsChunkedWinAndTrustsTheConnectionNoMore) {
  const Parsed parsed("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n");
  ASSERT_EQ(parsed.state, HeadState::complete);
  EXPECT_EQ(parsed.head.framing.kind, Framing::Kind::chunked);
  EXPECT_FALSE(parsed.head.keep_alive);
  EXPECT_EQ(parsed.head.headers.find(Name::content_length), nullptr);
}

TEST(ResponseParser, RefusesWhatCouldBeReadInTwoWays) {
  for (const char* bytes : {"HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
                            "HTTP/1.1 200 OK\r\nContent-Length: 3x\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "HTTP/1.1 200 OK\nA: b\n\n", "SSH-2.0-x\r\n\r\n"}) {
    EXPECT_EQ(Parsed(bytes).state, HeadState::failed) << bytes;
  }
}

}  // namespace
}  // namespace gateway::http::h1
