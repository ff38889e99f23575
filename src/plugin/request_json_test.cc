#include "plugin/request_json.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace gateway::plugin {
namespace {

using nlohmann::json;

TEST(RequestJson, ShowsHeadersByLowerCaseNames) {
  http::Arena arena;
  http::Headers headers(arena);
  headers.add("X-A", "1");
  headers.add("x-a", "2");
  headers.add("X-A", "3");
  headers.add("Authorization", "secret");
  EXPECT_EQ(headers_json(headers, Secrets::hidden), json({{"x-a", {"1", "2", "3"}}, {"authorization", "REDACTED"}}));
  EXPECT_EQ(headers_json(headers, Secrets::shown)["authorization"], "secret");
}

TEST(RequestJson, ShowsArguments) {
  http::Arena arena;
  EXPECT_EQ(arguments_json("a=1&a=2&b&c=%20+&=x", arena), json({{"a", {"1", "2"}}, {"b", true}, {"c", "  "}, {"", "x"}}));
  EXPECT_EQ(arguments_json("", arena), json::object());
}

TEST(RequestJson, TakesFormsAndJsonApart) {
  http::Arena arena;
  EXPECT_EQ(body_json("Application/X-WWW-Form-Urlencoded; charset=utf-8", "a=%41", arena), json({{"a", "A"}}));
  EXPECT_EQ(body_json("application/json", "[1]", arena), json::array({1}));
  EXPECT_FALSE(body_json("application/json", "[1", arena));
  EXPECT_FALSE(body_json("text/plain", "a=1", arena));
}

TEST(RequestJson, LosesNothingOfADocumentHoweverDeep) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  const std::optional<json> document = parse_body(nested(900));
  ASSERT_TRUE(document);
  EXPECT_EQ(document->dump(), nested(900));
  EXPECT_FALSE(parse_body(nested(2000))) << "refused whole, not cut";
}

TEST(RequestJson, KnowsAHostFromItsPort) {
  EXPECT_EQ(host_of("Gate.Test:80"), "gate.test");
  EXPECT_EQ(host_of("gate.test"), "gate.test");
  EXPECT_EQ(host_of("[::1]:80"), "[::1]");
  EXPECT_EQ(host_of("[::1]"), "[::1]");
}

}  // namespace
}  // namespace gateway::plugin
