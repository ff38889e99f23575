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
  for (const char* input : {"g\r\n", "-1\r\n", "0x5\r\n", "5 \r\n", "FFFFFFFFFFFFFFFFF0\r\n", "5\r\nhelloXX0\r\n\r\n", "5\nhello\r\n0\r\n\r\n", "\r\n",
                            ";x\r\n", "5\r\nhello\n0\r\n\r\n", "0\r\nbad trailer\r\n\r\n", "5;\x01\r\n", "0\r\nA: b\n\r\n"}) {
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

TEST(BodyDecoder, JoinsSmallPiecesInPlace) {
  std::string input = "1\r\na\r\n2;x\r\nbc\r\n3\r\ndef\r\n0\r\n\r\nNEXT";
  BodyDecoder decoder(chunked, nullptr);
  const BodyDecoder::Fed fed = decoder.gather(input.data(), input.size());
  EXPECT_EQ(fed.payload, "abcdef");
  EXPECT_EQ(fed.state, State::done) << "the end comes with the last piece";
  EXPECT_EQ(input.substr(fed.consumed), "NEXT");
}

TEST(BodyDecoder, JoinsNothingToAPieceThatIsLargeEnough) {
  const std::string large(5000, 'x');
  std::string input = "1388\r\n" + large + "\r\n1\r\na\r\n0\r\n\r\n";
  BodyDecoder decoder(chunked, nullptr);
  const BodyDecoder::Fed first = decoder.gather(input.data(), input.size());
  EXPECT_EQ(first.payload, large);
  EXPECT_EQ(first.state, State::data);
  const BodyDecoder::Fed second = decoder.gather(input.data() + first.consumed, input.size() - first.consumed);
  EXPECT_EQ(second.payload, "a");
  EXPECT_EQ(second.state, State::done);
}

TEST(BodyDecoder, GivesOutWhatCameBeforeAMalformedChunkAndThenFailsForGood) {
  std::string input = "1\r\na\r\n1\r\nbXX";
  BodyDecoder decoder(chunked, nullptr);
  const BodyDecoder::Fed fed = decoder.gather(input.data(), input.size());
  EXPECT_EQ(fed.payload, "ab");
  EXPECT_EQ(fed.state, State::data);
  EXPECT_EQ(decoder.gather(input.data() + fed.consumed, input.size() - fed.consumed).state, State::malformed);
  EXPECT_EQ(decoder.feed("").state, State::malformed);
  EXPECT_EQ(decoder.feed("0\r\n\r\n").state, State::malformed);
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
