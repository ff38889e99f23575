#include "plugins/request_termination/request_termination.h"

#include "plugin/testing.h"

namespace gateway::plugins::request_termination {
namespace {

using nlohmann::json;
using plugin::Flow;
using plugin::testing::Bench;
using plugin::testing::complaints;
using plugin::testing::FakeBody;

class RequestTermination : public testing::Test {
 protected:
  Flow ask(json config) {
    plugin = bench.make(type(), std::move(config));
    return bench.access(*plugin);
  }
  Bench bench;
  std::unique_ptr<plugin::Plugin> plugin;
};

TEST_F(RequestTermination, AnswersThatTheServiceIsUnavailable) {
  Flow flow = ask(json::object());
  ASSERT_TRUE(flow.replies());
  EXPECT_EQ(flow.get().status, 503U);
  EXPECT_EQ(flow.get().content_type, "application/json; charset=utf-8");
  EXPECT_EQ(flow.get().body, R"({"message":"Service unavailable"})");
  EXPECT_FALSE(flow.get().negotiate);
}

TEST_F(RequestTermination, HasWordsForSomeStatuses) {
  for (const auto& [status, message] : std::vector<std::pair<unsigned, std::string>>{
           {401, "Unauthorized"}, {404, "Not found"}, {405, "Method not allowed"}, {500, "An unexpected error occurred"}, {502, "Bad Gateway"}}) {
    EXPECT_EQ(ask({{"status_code", status}}).get().body, json({{"message", message}}).dump());
  }
  Flow flow = ask({{"status_code", 204}});
  EXPECT_EQ(flow.get().status, 204U);
  EXPECT_EQ(flow.get().body, "");
  EXPECT_EQ(flow.get().content_type, "");
}

TEST_F(RequestTermination, SaysWhatItIsTold) {
  EXPECT_EQ(ask({{"status_code", 403}, {"message", "a \"b\""}}).get().body, R"({"message":"a \"b\""})");
  Flow flow = ask({{"body", "<b/>"}, {"content_type", "text/xml"}});
  EXPECT_EQ(flow.get().body, "<b/>");
  EXPECT_EQ(flow.get().content_type, "text/xml");
  EXPECT_EQ(ask({{"body", "x"}}).get().content_type, "");
}

TEST_F(RequestTermination, WaitsForItsTrigger) {
  const json config = {{"trigger", "x-stop"}};
  EXPECT_FALSE(ask(config).replies());
  bench.head.headers.add("X-Stop", "");
  EXPECT_TRUE(ask(config).replies());
  bench.request("GET", "/?x-stop");
  EXPECT_TRUE(ask(config).replies());
  bench.request("GET", "/?x-stopped=1");
  EXPECT_FALSE(ask(config).replies());
}

TEST_F(RequestTermination, EchoesTheRequest) {
  bench.request("POST", "/p?a=1&a=2&b&c=%20");
  bench.head.headers.add("X-A", "1");
  FakeBody body("text");
  bench.exchange->body = &body;
  Flow flow = ask({{"echo", true}, {"status_code", 404}});
  ASSERT_TRUE(flow.replies());
  EXPECT_EQ(flow.get().status, 404U);
  EXPECT_EQ(flow.get().content_type, "application/json; charset=utf-8");
  const json answer = parse_json(flow.get().body);
  EXPECT_EQ(answer["message"], "Not found");
  EXPECT_EQ(answer["kong"]["node_id"], "00000000-0000-0000-0000-0000000000aa");
  EXPECT_EQ(answer["kong"]["hostname"], "host");
  EXPECT_TRUE(answer["kong"]["worker_pid"].is_number());
  const json& request = answer["request"];
  EXPECT_EQ(request["query"], json({{"a", {"1", "2"}}, {"b", true}, {"c", " "}}));
  EXPECT_EQ(request["headers"], json({{"x-a", "1"}}));
  EXPECT_EQ(request["raw_body"], "text");
  EXPECT_FALSE(request.contains("body"));
  EXPECT_EQ(request["method"], "POST");
  EXPECT_EQ(request["path"], "/p");
  EXPECT_EQ(request["host"], "gate.test");
  EXPECT_EQ(request["port"], 8000);
  EXPECT_EQ(request["scheme"], "http");
  EXPECT_EQ(request["uri_captures"], parse_json(R"({"unnamed":[],"named":{}})"));
  EXPECT_FALSE(answer.contains("matched_route"));
}

TEST(RequestTerminationSettings, AreChecked) {
  const auto on_config = [](const char* text) { return json{{"config", text}}; };
  EXPECT_EQ(complaints(type(), {{"message", "m"}, {"body", "b"}}), on_config("message cannot be used with content_type or body"));
  EXPECT_EQ(complaints(type(), {{"content_type", "t"}}), on_config("content_type requires a body"));
  EXPECT_EQ(complaints(type(), {{"echo", true}, {"body", "b"}}), on_config("echo cannot be used with content_type and body"));
  EXPECT_EQ(complaints(type(), {{"status_code", 99}}), json({{"config", {{"status_code", "value should be between 100 and 599"}}}}));
}

}  // namespace
}  // namespace gateway::plugins::request_termination
