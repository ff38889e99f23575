#include "http/h1/body_decoder.h"

#include <gtest/gtest.h>

namespace gateway::http::h1 {
namespace {

using State = BodyDecoder::State;

struct Decoded {
  std::string body;
  State state = State::need_more;
  std::size_t consumed = 0;
};

// Feeds `input` in pieces of `step` bytes, as a network might.
Decoded decode(const Framing& framing, std::string_view input, std::size_t step, Headers* trailers = nullptr) {
  BodyDecoder decoder(framing, trailers);
  Decoded out;
  for (std::size_t at = 0; at < input.size();) {
    const std::string_view piece = input.substr(at, std::min(step, input.size() - at));
    std::size_t used = 0;
    while (used < piece.size()) {
      const BodyDecoder::Fed fed = decoder.feed(piece.substr(used));
      out.body += fed.payload;
      out.state = fed.state;
      used += fed.consumed;
      if (fed.state == State::done || fed.state == State::malformed) {
        out.consumed = at + used;
        return out;
      }
    }
    at += piece.size();
  }
  out.consumed = input.size();
  return out;
}

constexpr Framing chunked{Framing::Kind::chunked, 0};

TEST(BodyDecoder, TakesChunksApartHoweverTheyAreCut) {
  const std::string_view input = "5\r\nhello\r\n6;x=\"y\"\r\n world\r\n0\r\nTrail: er\r\nContent-Length: 9\r\n\r\nNEXT";
  for (std::size_t step = 1; step <= input.size(); ++step) {
    Arena arena;
    Headers trailers(arena);
    const Decoded out = decode(chunked, input, step, &trailers);
    EXPECT_EQ(out.body, "hello world") << step;
    EXPECT_EQ(out.state, State::done) << step;
    EXPECT_EQ(input.substr(out.consumed), "NEXT") << step;
    ASSERT_EQ(trailers.size(), 1U) << "framing must not come in trailers";
    EXPECT_EQ(trailers.value("trail"), "er");
  }
}

TEST(BodyDecoder, RefusesMalformedChunks) {
  for (const char* input : {"g\r\n", "-1\r\n", "0x5\r\n", "5 \r\n", "FFFFFFFFFFFFFFFFF0\r\n", "5\r\nhelloXX0\r\n\r\n", "5\nhello\r\n0\r\n\r\n", "\r\n", ";x\r\n",
                            "5\r\nhello\n0\r\n\r\n", "0\r\nbad trailer\r\n\r\n", "5;\x01\r\n", "0\r\nA: b\n\r\n"}) {
    for (const std::size_t step : {std::size_t{1}, std::size_t{100}}) EXPECT_EQ(decode(chunked, input, step).state, State::malformed) << input;
  }
}

TEST(BodyDecoder, RefusesEndlessExtensionsAndTrailers) {
  EXPECT_EQ(decode(chunked, "5;" + std::string(20000, 'x'), 1000).state, State::malformed);
  EXPECT_EQ(decode(chunked, "0\r\nA: " + std::string(20000, 'x'), 1000).state, State::malformed);
}

TEST(BodyDecoder, CountsABodyOfKnownLength) {
  const Decoded out = decode({Framing::Kind::length, 5}, "helloNEXT", 2);
  EXPECT_EQ(out.body, "hello");
  EXPECT_EQ(out.state, State::done);
  EXPECT_EQ(out.consumed, 5U);
}

TEST(BodyDecoder, GoesOnFromACopy) {
  BodyDecoder decoder(chunked, nullptr);
  (void)decoder.feed("3\r\nabc");
  BodyDecoder copy = decoder;
  EXPECT_EQ(copy.feed("\r\n0\r\n\r\n").state, State::done);
  EXPECT_EQ(decoder.feed("\r\n2\r\nde").payload, "de");
}

}  // namespace
}  // namespace gateway::http::h1
