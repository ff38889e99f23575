#include "base/keyed_hash.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

namespace gateway {
namespace {

// The authors' test vectors: the key is 00 01 ... 0f, the text 00 01 02 ...
TEST(KeyedHash, IsSipHash) {
  const KeyedHash hash(0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL);
  EXPECT_EQ(hash(""), (Digest{0xe6a825ba047f81a3ULL, 0x930255c71472f66dULL}));
  EXPECT_EQ(hash(std::string(1, '\0')), (Digest{0x44af996bd8c187daULL, 0x45fc229b11597634ULL}));
  std::string text;
  for (char c = 0; c < 15; ++c) text += c;
  EXPECT_EQ(hash(text), (Digest{0x11a8b03399e99354ULL, 0xd9c3cf970fec087eULL}));
}

TEST(KeyedHash, DependsOnTheKey) {
  EXPECT_NE(KeyedHash::random()("a"), KeyedHash::random()("a"));
  const KeyedHash hash = KeyedHash::random();
  EXPECT_EQ(hash("a"), hash("a"));
  EXPECT_NE(hash("a"), hash("b"));
}

TEST(TableHash, TellsTextsOfAllSizesApart) {
  const TableHash& hash = TableHash::of_process();
  std::vector<Digest> seen;
  std::string text;
  // Filled up or overlapping words must not make texts of zeros alike; nor may the last of the bytes be left out.
  for (int size = 0; size < 200; ++size, text += '\0') {
    seen.push_back(hash(text));
    for (std::size_t i = 0; i < text.size(); ++i) {
      std::string other = text;
      other[i] = 1;
      seen.push_back(hash(other));
    }
  }
  std::sort(seen.begin(), seen.end(), [](const Digest& a, const Digest& b) { return std::pair(a.low, a.high) < std::pair(b.low, b.high); });
  EXPECT_EQ(std::adjacent_find(seen.begin(), seen.end()), seen.end());
  EXPECT_EQ(hash("a"), hash(std::string("a")));
}

// What differs in few bits, as names in a row do, is spread by any of the bits.
TEST(TableHash, SpreadsEvenly) {
  const TableHash& hash = TableHash::of_process();
  for (const int shift : {56, 48, 32, 0}) {
    std::array<int, 256> places{};
    for (int i = 0; i < 25'600; ++i) ++places[hash.spread(hash("consumer-" + std::to_string(i))) >> shift & 255];
    EXPECT_GT(*std::min_element(places.begin(), places.end()), 40) << shift;
    EXPECT_LT(*std::max_element(places.begin(), places.end()), 200) << shift;
  }
}

TEST(Digest, IsSummedUpWithTheCarry) { EXPECT_EQ((Digest{~0ULL, 1} + Digest{2, 3}), (Digest{1, 5})); }

}  // namespace
}  // namespace gateway
