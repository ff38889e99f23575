#include "http/h2/closed_streams.h"

#include <gtest/gtest.h>

namespace gateway::http::h2 {
namespace {

TEST(ClosedStreams, KnowsThoseThatWereClosed) {
  ClosedStreams closed;
  EXPECT_FALSE(closed.has(0));
  EXPECT_FALSE(closed.has(1));
  closed.add(1);
  closed.add(5);
  EXPECT_TRUE(closed.has(1));
  EXPECT_FALSE(closed.has(3)) << "still open, or reset by us";
  EXPECT_TRUE(closed.has(5));
}

TEST(ClosedStreams, ForgetsOldOnesForNewOnes) {
  ClosedStreams closed;
  for (std::int32_t id = 1; id < 2001; id += 2) closed.add(id);
  EXPECT_FALSE(closed.has(1));
  EXPECT_TRUE(closed.has(1999));
  EXPECT_TRUE(closed.has(1999 - 2 * 31));
  EXPECT_FALSE(closed.has(1999 - 2 * 32));
}

}  // namespace
}  // namespace gateway::http::h2
