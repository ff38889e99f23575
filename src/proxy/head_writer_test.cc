#include "proxy/head_writer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>

namespace gateway::proxy {
namespace {

TEST(HeadWriter, CopiesNamesAndValuesOfEveryLength) {
  for (std::size_t size = 1; size <= 80; ++size) {
    std::string text;
    for (std::size_t i = 0; i < size; ++i) text += static_cast<char>('a' + i % 26);
    http::Arena arena;
    http::Headers headers(arena);
    headers.add(text, "v");
    headers.add("n", text);
    headers.add("empty", "");
    EXPECT_EQ(write_request_head(arena, "GET", "/", "", false, headers), "GET / HTTP/1.1\r\n" + text + ": v\r\nn: " + text + "\r\nempty: \r\n\r\n") << size;
  }
}

TEST(HeadWriter, CutsAValueThatCouldEndItsLine) {
  http::Arena arena;
  http::Headers headers(arena);
  headers.add("a", "one\r\nb: two");
  headers.add("c", std::string_view("x\0y", 3));
  EXPECT_EQ(write_response_head(arena, 200, "OK\r\nd: e", headers, "body"), "HTTP/1.1 200 OK\r\na: one\r\nc: x\r\n\r\nbody");
}

TEST(HeadWriter, WritesNumbers) {
  http::Arena arena;
  for (std::int64_t value = -1100; value <= 1100; ++value) EXPECT_EQ(number(arena, value), std::to_string(value));
  for (const std::int64_t value : {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max(), std::int64_t{65535}}) {
    EXPECT_EQ(number(arena, value), std::to_string(value));
  }
}

}  // namespace
}  // namespace gateway::proxy
