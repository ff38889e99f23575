#include "http/h1/syntax.h"

#include <gtest/gtest.h>

#include <string>

namespace gateway::http::h1 {
namespace {

bool may_stand(unsigned char byte) { return byte == '\t' || (byte >= 0x20 && byte != 0x7F); }

// RFC 9110, 5.5, wherever the byte stands and however long the text is.
TEST(FieldValue, HasNoControlCharacters) {
  for (std::size_t size = 0; size <= 50; ++size) {
    EXPECT_TRUE(is_field_value(std::string(size, 'a'))) << size;
    for (std::size_t at = 0; at < size; ++at) {
      for (unsigned byte = 0; byte < 256; ++byte) {
        std::string text(size, '\xFF');
        text[at] = static_cast<char>(byte);
        ASSERT_EQ(is_field_value(text), may_stand(static_cast<unsigned char>(byte))) << size << ' ' << at << ' ' << byte;
      }
    }
  }
}

TEST(HeaderLine, NeedsANameThatIsAToken) {
  Header header;
  for (const char* bad : {"", ":", ": value", "Name", "Na me: x", "Name : x", "Na\tme: x", " Name: x", "N\xE4me: x", "Name\x01: x"}) {
    EXPECT_FALSE(parse_header_line(bad, header)) << bad;
  }
  EXPECT_TRUE(parse_header_line("Name:", header));
  EXPECT_EQ(header.value, "");
  EXPECT_TRUE(parse_header_line("host:\t a:b \t", header));
  EXPECT_EQ(header.name, "host");
  EXPECT_EQ(header.value, "a:b");
  EXPECT_EQ(header.id, Name::host);
}

}  // namespace
}  // namespace gateway::http::h1
