#include "base/keyed_hash.h"

#include <gtest/gtest.h>

#include <string>

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

}  // namespace
}  // namespace gateway
