#include "http/h1/syntax.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
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

// A line of its own for each case, with something before it, so that it lies anywhere within the sixteen bytes looked at.
std::string lines_of(std::size_t before, const std::string& line, std::size_t behind) {
  return "A: " + std::string(before, 'x') + "\r\n" + line + "\r\n\r\n" + std::string(behind, 'b');
}

struct Lines {
  const std::string text;
  std::size_t end = 0;
  Arena arena;
  Headers headers{arena};
  HeaderLines result;

  explicit Lines(std::string of, std::size_t max = 1000, bool underscores = false)
      : text(std::move(of)), result(parse_header_lines(text, end, max, underscores, headers)) {}
};

TEST(HeaderLines, AreTakenApartWhereverTheyLie) {
  for (std::size_t before = 0; before < 20; ++before) {
    for (std::size_t name = 1; name <= 40; ++name) {
      for (const std::size_t value : {0U, 1U, 2U, 5U, 14U, 15U, 16U, 17U, 31U, 32U, 33U, 50U}) {
        for (const std::size_t behind : {0U, 1U, 40U}) {
          const std::string named(name, 'n');
          const std::string valued(value, 'v');
          const Lines lines(lines_of(before, named + ": " + valued, behind));
          ASSERT_EQ(lines.result, HeaderLines::good);
          ASSERT_EQ(lines.end, lines.text.size() - behind);
          ASSERT_EQ(lines.headers.size(), 2U);
          ASSERT_EQ(lines.headers.begin()[1].name, named);
          ASSERT_EQ(lines.headers.begin()[1].value, valued);
          ASSERT_TRUE(lines.headers.begin()[1].checked);
        }
      }
    }
  }
}

TEST(HeaderLines, MustAllBeThere) {
  const std::string whole = "Host: a.example\r\nA-name-that-is-longer-than-others: and its value\r\nE:\r\n\r\n";
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto exact = std::make_unique<char[]>(size);  // so that sanitizers see what is read beside it
    std::copy_n(whole.begin(), size, exact.get());
    Arena arena;
    Headers headers(arena);
    std::size_t at = 0;
    EXPECT_EQ(parse_header_lines({exact.get(), size}, at, 1000, false, headers), HeaderLines::malformed) << size;
  }
}

// All that one line's parser knows of, for a head's lines as well: each byte at each place.
TEST(HeaderLines, TakeAndRefuseWhatOneLineDoes) {
  for (const std::size_t length : {1U, 7U, 15U, 16U, 17U, 33U}) {
    const std::string good = std::string(length, 'N') + ": " + std::string(length, 'v');
    for (std::size_t at = 0; at < good.size(); ++at) {
      for (unsigned byte = 0; byte < 256; ++byte) {
        if (byte == '\n') continue;  // the scanner's business
        std::string line = good;
        line[at] = static_cast<char>(byte);
        Header one;
        const bool expected = parse_header_line(line, one);
        for (const std::size_t before : {0U, 9U}) {
          const Lines lines(lines_of(before, line, 0), 1000, true);
          ASSERT_EQ(lines.result == HeaderLines::good, expected) << line;
          if (!expected) continue;
          const Header& taken = lines.headers.begin()[1];
          ASSERT_EQ(taken.name, one.name);
          ASSERT_EQ(taken.value, one.value);
        }
      }
    }
  }
}

TEST(HeaderLines, AreTrimmedClassifiedAndCounted) {
  const Lines lines("hOsT: \t a b\t \r\nEmpty:\r\nBlank: \t \r\nx_y: z\r\n\r\nbody");
  ASSERT_EQ(lines.result, HeaderLines::good);
  ASSERT_EQ(lines.headers.size(), 3U) << "less the one with an underscore";
  EXPECT_EQ(lines.headers.value(Name::host), "a b");
  EXPECT_EQ(lines.headers.value("empty"), "");
  EXPECT_EQ(lines.headers.value("blank"), "");
  EXPECT_EQ(Lines("x_y: z\r\n\r\n", 1000, true).headers.size(), 1U);
  EXPECT_EQ(Lines("x_y: z\r\nA: b\r\n\r\n", 1).result, HeaderLines::too_many) << "what is left out counts as well";
  EXPECT_EQ(Lines("A: b\r\n\r\n", 1).result, HeaderLines::good);
  EXPECT_EQ(Lines("\r\n").headers.size(), 0U);
  EXPECT_EQ(Lines("A: b\r\n c\r\n\r\n").result, HeaderLines::malformed) << "folded";
  EXPECT_EQ(Lines("A: b\r\n\rc: d\r\n\r\n").result, HeaderLines::malformed);
}

// However a head is cut, and wherever its lines end.
TEST(HeadScanner, FindsTheEndOfAHead) {
  for (std::size_t first = 1; first <= 36; ++first) {
    for (std::size_t second = 0; second <= 36; ++second) {
      std::string head = "\r\n" + std::string(first, 'a') + "\r\n";
      if (second > 0) head += std::string(second, 'b') + "\r\n";
      head += "\r\n";
      const std::string text = head + "body\n\n";
      HeadScanner at_once;
      ASSERT_EQ(at_once.scan(text), HeadScanner::Found::end);
      ASSERT_EQ(at_once.length(), head.size());
      for (const std::size_t step : {1U, 2U, 15U, 16U, 17U}) {
        HeadScanner by_pieces;
        std::size_t end = 0;
        HeadScanner::Found found = HeadScanner::Found::incomplete;
        while (found == HeadScanner::Found::incomplete && end < text.size()) {
          end = std::min(text.size(), end + step);
          found = by_pieces.scan(std::string_view(text).substr(0, end));
          ASSERT_EQ(found == HeadScanner::Found::incomplete, end < head.size());
        }
        ASSERT_EQ(by_pieces.length(), head.size());
      }
    }
  }
}

TEST(HeadScanner, RefusesALineFeedOnItsOwn) {
  for (std::size_t at = 0; at < 60; ++at) {
    std::string text = "GET / HTTP/1.1\r\nHost: a-name-that-is-long-enough.example\r\n\r\n";
    if (text[at] == '\r' || text[at] == '\n') continue;
    text[at] = '\n';
    EXPECT_EQ(HeadScanner().scan(text), HeadScanner::Found::bare_line_feed) << at;
    EXPECT_EQ(HeadScanner().scan(text.substr(0, at + 1)), HeadScanner::Found::bare_line_feed) << at;
  }
}

TEST(ConnectionOptions, AreWholeWordsOfAList) {
  ConnectionOptions options;
  options.add("closed, Keep-Alive2, upgrad");
  EXPECT_FALSE(options.close || options.keep_alive || options.upgrade);
  options.add(" ,, Close ,\tUPGRADE");
  EXPECT_TRUE(options.close && options.upgrade);
  EXPECT_FALSE(options.keep_alive);
  options.add("keep-alive");
  EXPECT_TRUE(options.keep_alive && options.close);
}

TEST(ContentLength, IsDigitsAlone) {
  std::uint64_t length = 0;
  EXPECT_TRUE(parse_content_length("9999999999999999999", length));
  EXPECT_EQ(length, 9999999999999999999U);
  EXPECT_TRUE(parse_content_length("007", length));
  EXPECT_EQ(length, 7U);
  for (const char* bad : {"", "+1", "-1", " 1", "1 ", "1,1", "0x1", "10000000000000000000", "1\t"}) EXPECT_FALSE(parse_content_length(bad, length)) << bad;
}

}  // namespace
}  // namespace gateway::http::h1
