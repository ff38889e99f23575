#include "router/upstream_path.h"

#include <gtest/gtest.h>

#include "router/test_route.h"

namespace gateway::router {
namespace {

using entity::PathHandling;

struct Row {
  std::string service;
  std::string route;  ///< empty: the route has no paths
  bool strip;
  std::string request;
  std::string v0;
  std::string v1;
};

std::string result(const Row& row, PathHandling handling, Flavour flavour) {
  http::Arena arena;
  const entity::Route route = Spec{.strip_path = row.strip, .path_handling = handling}.route();
  Match match;
  match.route = &route;
  match.path_matched = !row.route.empty();
  match.matched_path = std::string_view(row.request).substr(0, row.route.size());
  return std::string(upstream_path(row.service, route, row.request, match, flavour, arena));
}

const std::vector<Row> rows = {
    {"/", "/route", true, "/route", "/", "/"},
    {"/", "/route", true, "/routereq", "/req", "/req"},
    {"/", "/route", true, "/route/req", "/req", "/req"},
    {"/", "/route", false, "/route/req", "/route/req", "/route/req"},
    {"/", "/", true, "/", "/", "/"},
    {"/", "/", true, "/a", "/a", "/a"},
    {"", "/route", true, "/route/req", "/req", "/req"},
    {"", "", true, "/a/b", "/a/b", "/a/b"},
    {"/srv", "/rou", false, "/roureq", "/srv/roureq", "/srvroureq"},
    {"/srv", "/rou", true, "/roureq", "/srv/req", "/srvreq"},
    {"/srv", "/rou", true, "/rou/req", "/srv/req", "/srv/req"},
    {"/srv/", "/rou", true, "/rou", "/srv", "/srv/"},
    {"/srv/", "/rou", true, "/rou/req", "/srv/req", "/srv/req"},
    {"/srv/", "/rou", true, "/roureq", "/srv/req", "/srv/req"},
    {"/service", "/", true, "/route", "/service/route", "/serviceroute"},
    {"/service", "/", false, "/route", "/service/route", "/serviceroute"},
    {"/service", "/", true, "/", "/service", "/service"},
    {"/service", "/", false, "/", "/service", "/service"},
    {"/service", "/route", true, "/route/", "/service/", "/service/"},
    {"/service", "/route/", true, "/route/", "/service/", "/service"},
    {"/service/", "/route", true, "/route", "/service", "/service/"},
    {"/service/", "/route/", true, "/route/", "/service/", "/service/"},
    {"/service/", "/route", false, "/routereq", "/service/routereq", "/service/routereq"},
    {"/service", "", true, "/route/", "/service/route/", "/serviceroute/"},
    {"/service", "", false, "/route/", "/service/route/", "/serviceroute/"},
    {"/service/", "", true, "/route", "/service/route", "/service/route"},
    {"/service", "/route", true, "/route../req", "/service/req", "/servicereq"},
    {"/service", "/route", true, "/route./req", "/service/req", "/servicereq"},
    {"/service", "/route", true, "/route..", "/service", "/service"},
    {"/service", "/route", true, "/route.", "/service", "/service"},
    {"/service", "/route", true, "/route...", "/service/...", "/service..."},
};

TEST(UpstreamPath, FollowsTheTableOfBothHandlings) {
  for (const Row& row : rows) {
    const std::string about = row.service + " + " + row.route + (row.strip ? " stripped" : " kept") + " <- " + row.request;
    EXPECT_EQ(result(row, PathHandling::v0, Flavour::traditional), row.v0) << about;
    EXPECT_EQ(result(row, PathHandling::v1, Flavour::traditional), row.v1) << about;
  }
}

TEST(UpstreamPath, KnowsV1OnlyInTraditional) {
  for (const Row& row : rows) {
    EXPECT_EQ(result(row, PathHandling::v1, Flavour::traditional_compatible), row.v0) << row.service << ' ' << row.request;
  }
}

TEST(UpstreamPath, EscapesWhatNormalisingDecoded) {
  const auto v0 = [](const Row& row) { return result(row, PathHandling::v0, Flavour::traditional_compatible); };
  EXPECT_EQ(v0({"/", "", false, "/a b\xC3\xA9", "", ""}), "/a%20b%C3%A9");
  EXPECT_EQ(v0({"/s", "/r", true, "/r/\"<>\\^`{|}", "", ""}), "/s/%22%3C%3E%5C%5E%60%7B%7C%7D");
  EXPECT_EQ(v0({"/", "/r", true, "/r/a%2Fb%3F", "", ""}), "/a%2Fb%3F");
  EXPECT_EQ(v0({"/", "", true, "/!$&'()*+,;=:@-._~[]#", "", ""}), "/!$&'()*+,;=:@-._~[]#");
}

TEST(UpstreamPath, DoesNotCopyAPathThatStaysAsItIs) {
  http::Arena arena;
  const entity::Route route = Spec{.strip_path = false}.route();
  const std::string path = "/some/path";
  Match match;
  match.path_matched = true;
  EXPECT_EQ(upstream_path("/", route, path, match, Flavour::traditional_compatible, arena).data(), path.data());
}

TEST(UpstreamPath, TakesOffTheWholeMatchOfARegularExpression) {
  http::Arena arena;
  const entity::Route route;
  const std::string path = "/u/42/rest";
  Match match;
  match.path_matched = true;
  match.regex = true;
  match.matched_path = std::string_view(path).substr(0, 5);
  EXPECT_EQ(upstream_path("/s", route, path, match, Flavour::traditional_compatible, arena), "/s/rest");
}

}  // namespace
}  // namespace gateway::router
