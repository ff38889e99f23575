#include "proxy/head_writer.h"

#include <gtest/gtest.h>

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
    Output out(&arena);
    write_request_head(out, "GET", "/", "", false, headers);
    EXPECT_EQ(std::string_view(out), "GET / HTTP/1.1\r\n" + text + ": v\r\nn: " + text + "\r\nempty: \r\n\r\n") << size;
  }
}

TEST(HeadWriter, CutsAValueThatCouldEndItsLine) {
  http::Arena arena;
  http::Headers headers(arena);
  headers.add("a", "one\r\nb: two");
  headers.add("c", std::string_view("x\0y", 3));
  Output out(&arena);
  write_response_head(out, 200, "OK\r\nd: e", headers);
  EXPECT_EQ(std::string_view(out), "HTTP/1.1 200 OK\r\na: one\r\nc: x\r\n\r\n");
}

}  // namespace
}  // namespace gateway::proxy
