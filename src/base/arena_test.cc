#include "base/arena.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <memory_resource>
#include <string>
#include <vector>

namespace gateway {
namespace {

TEST(Arena, BeginsWithTheMemoryItWasGiven) {
  alignas(16) std::array<char, 64> first;
  Arena arena(first.data(), first.size());
  EXPECT_EQ(arena.allocate(10, 1), first.data());
  EXPECT_EQ(arena.allocate(8, 8), first.data() + 16) << "aligned";
  EXPECT_EQ(arena.allocate(40, 1), first.data() + 24) << "to the last byte";
  void* const more = arena.allocate(1, 1);
  EXPECT_TRUE(more < first.data() || more >= first.data() + first.size());
}

TEST(Arena, GivesEveryPieceMemoryOfItsOwn) {
  Arena arena;
  std::vector<std::pair<unsigned char*, std::size_t>> pieces;
  for (std::size_t size = 1; size < 3000; size += 7) {
    auto* piece = static_cast<unsigned char*>(arena.allocate(size, std::size_t{1} << (size % 6)));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(piece) % (std::size_t{1} << (size % 6)), 0U);
    std::memset(piece, static_cast<int>(pieces.size() % 251), size);
    pieces.emplace_back(piece, size);
  }
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    for (std::size_t at = 0; at < pieces[i].second; ++at) ASSERT_EQ(pieces[i].first[at], i % 251);
  }
}

TEST(Arena, ServesContainers) {
  Arena arena;
  std::pmr::vector<std::pmr::string> texts(&arena);
  for (int i = 0; i < 200; ++i) texts.emplace_back(100, static_cast<char>('a' + i % 26));
  for (int i = 0; i < 200; ++i) EXPECT_EQ(texts[static_cast<std::size_t>(i)], std::pmr::string(100, static_cast<char>('a' + i % 26)));
}

}  // namespace
}  // namespace gateway
