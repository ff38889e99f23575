#include "app/settings/names.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace gateway::app {
namespace {

std::string_view default_of(std::string_view name) {
  const auto& names = all_names();
  const auto found = std::find_if(names.begin(), names.end(), [&](const Name& each) { return each.name == name; });
  return found == names.end() ? "there is no such setting" : found->default_text;
}

TEST(Names, ListenersAreWhereThoseOfKongAre) {
  EXPECT_EQ(default_of("proxy_listen"), "0.0.0.0:8000 reuseport backlog=16384, 0.0.0.0:8443 http2 ssl reuseport backlog=16384");
  EXPECT_EQ(default_of("admin_listen"), "127.0.0.1:8001 reuseport backlog=16384, 127.0.0.1:8444 http2 ssl reuseport backlog=16384");
  EXPECT_EQ(default_of("status_listen"), "127.0.0.1:8007 reuseport backlog=16384, 127.0.0.1:8100 reuseport backlog=16384");
  EXPECT_EQ(default_of("stream_listen"), "off");
}

}  // namespace
}  // namespace gateway::app
