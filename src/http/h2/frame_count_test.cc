#include "http/h2/frame_count.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace gateway::http::h2 {
namespace {

std::string frame(std::uint8_t type, std::size_t payload) {
  std::string out;
  out += static_cast<char>(payload >> 16);
  out += static_cast<char>(payload >> 8);
  out += static_cast<char>(payload);
  out += static_cast<char>(type);
  out.append(5 + payload, '\x7F');
  return out;
}

TEST(FrameCount, CountsByTypeHoweverTheBytesAreCut) {
  const std::string bytes = "preface" + frame(0, 70000) + frame(1, 3) + frame(9, 0) + frame(6, 8) + frame(10, 1) + frame(255, 0) + frame(0, 0);
  for (std::size_t step = 1; step < 40; ++step) {
    FrameCount counter(7);
    FrameCount::Seen sum{};
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      const FrameCount::Seen some = counter.count(std::string_view(bytes).substr(at, step));
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += some[i];
    }
    EXPECT_EQ(sum, (FrameCount::Seen{2, 1, 0, 0, 0, 0, 1, 0, 0, 1, 2})) << step;
  }
}

TEST(FrameCount, CountsAFrameWhenItBegins) {
  FrameCount counter(0);
  const std::string bytes = frame(0, 100);
  EXPECT_EQ(counter.count(std::string_view(bytes).substr(0, 9))[0], 1U);
  EXPECT_EQ(counter.count(std::string_view(bytes).substr(9))[0], 0U);
}

TEST(FrameCount, ShowsWhatFramesSayOfThemselves) {
  FrameCount counter(0);
  const std::string bytes("\0\0\1\0\1\x81\2\3\4.", 10);
  std::vector<FrameCount::Head> heads;
  const FrameCount::Seen seen = counter.count(bytes, [&](const FrameCount::Head& head) { heads.push_back(head); });
  EXPECT_EQ(seen[0], 1U);
  ASSERT_EQ(heads.size(), 1U);
  EXPECT_EQ(heads[0].type, 0);
  EXPECT_EQ(heads[0].flags, 1);
  EXPECT_EQ(heads[0].stream, 0x01020304) << "the first bit is reserved";
}

}  // namespace
}  // namespace gateway::http::h2
