#include "upstream/balancing/probe_status.h"

#include <gtest/gtest.h>

namespace gateway::upstream {
namespace {

TEST(ProbeStatus, IsTheOneOfTheFirstLine) {
  EXPECT_EQ(probe_status("HTTP/1.1 200 OK\r\n"), 200U);
  EXPECT_EQ(probe_status("HTTP/1.0 503\r\nHTTP/1.1 200 OK\r\n"), 503U);
  EXPECT_EQ(probe_status("HTTP/1.1 999 What"), 999U);
}

TEST(ProbeStatus, IsNoneOfWhatIsNoAnswer) {
  for (const char* text : {"", "HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 20", "HTTP/1.1 2x0 OK", "SSH-2.0-OpenSSH\r\n", "HTTP/1.1\n200 OK", "HTTP/1.1 042 Low"}) {
    EXPECT_EQ(probe_status(text), 0U) << text;
  }
}

}  // namespace
}  // namespace gateway::upstream
