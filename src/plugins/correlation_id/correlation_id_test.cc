#include "plugins/correlation_id/correlation_id.h"

#include <unistd.h>

#include <regex>
#include <thread>

#include "plugin/testing.h"

namespace gateway::plugins::correlation_id {
namespace {

using nlohmann::json;
using plugin::testing::Bench;

class CorrelationId : public testing::Test {
 protected:
  std::string id_of_a_new_request() {
    bench.request("GET", "/");
    EXPECT_FALSE(bench.access(*plugin).replies());
    return bench.header("Kong-Request-ID");
  }
  std::string echoed() {
    http::Headers headers(bench.arena);
    unsigned status = 200;
    plugin->header_filter(*bench.exchange, status, headers);
    return std::string(headers.value("Kong-Request-ID"));
  }
  Bench bench;
  std::unique_ptr<plugin::Plugin> plugin;
};

TEST_F(CorrelationId, CountsTheRequestsOfAWorker) {
  plugin = bench.make(type(), json::object());
  const std::string first = id_of_a_new_request();
  const std::string second = id_of_a_new_request();
  EXPECT_TRUE(std::regex_match(first, std::regex("[0-9a-f-]{36}#[0-9]+"))) << first;
  EXPECT_EQ(first.substr(0, 37), second.substr(0, 37));
  EXPECT_EQ(std::stoi(second.substr(37)), std::stoi(first.substr(37)) + 1);
  EXPECT_EQ(bench.exchange->correlation_id, second);
}

TEST_F(CorrelationId, GivesEveryWorkerACountOfItsOwn) {
  plugin = bench.make(type(), json::object());
  const std::string here = id_of_a_new_request();
  std::string there;
  std::thread([&] { there = id_of_a_new_request(); }).join();
  EXPECT_NE(here.substr(0, 36), there.substr(0, 36));
  EXPECT_EQ(there.substr(36), "#1");
}

TEST_F(CorrelationId, MakesUuids) {
  plugin = bench.make(type(), {{"generator", "uuid"}});
  const std::string id = id_of_a_new_request();
  EXPECT_TRUE(Uuid::parse(id)) << id;
  EXPECT_NE(id, id_of_a_new_request());
}

TEST_F(CorrelationId, TracksWhereARequestCameIn) {
  bench.connection.serial = 7;
  bench.connection.requests = 3;
  plugin = bench.make(type(), {{"generator", "tracker"}});
  const std::string id = id_of_a_new_request();
  const std::string start = "10.0.0.1-8000-" + std::to_string(::getpid()) + "-7-3-";
  ASSERT_TRUE(id.starts_with(start)) << id;
  EXPECT_TRUE(std::regex_match(id.substr(start.size()), std::regex("[0-9]{10}\\.[0-9]{3}"))) << id;
}

TEST_F(CorrelationId, KeepsTheIdThatCame) {
  plugin = bench.make(type(), json::object());
  bench.head.headers.add("kong-request-id", "mine");
  EXPECT_FALSE(bench.access(*plugin).replies());
  EXPECT_EQ(bench.header("Kong-Request-ID"), "mine");
  EXPECT_EQ(bench.exchange->correlation_id, "mine");
}

TEST_F(CorrelationId, ReplacesAnEmptyOne) {
  plugin = bench.make(type(), {{"header_name", "X-Id"}});
  bench.head.headers.add("X-Id", "");
  EXPECT_FALSE(bench.access(*plugin).replies());
  EXPECT_NE(bench.header("X-Id"), "");
  EXPECT_EQ(bench.head.headers.count("X-Id"), 1U);
}

TEST_F(CorrelationId, TellsTheClientWhenTold) {
  plugin = bench.make(type(), json::object());
  const std::string id = id_of_a_new_request();
  EXPECT_EQ(echoed(), "");
  plugin = bench.make(type(), {{"echo_downstream", true}});
  EXPECT_EQ(echoed(), id);
}

TEST_F(CorrelationId, TellsTheClientOfARequestThatNeverGotToAccessToo) {
  plugin = bench.make(type(), {{"echo_downstream", true}});
  EXPECT_NE(echoed(), "");
  EXPECT_EQ(bench.exchange->correlation_id, "") << "not logged";
  bench.head.headers.add("Kong-Request-ID", "mine");
  EXPECT_EQ(echoed(), "mine");
}

TEST_F(CorrelationId, CountsWhereOldRowsNameNoGenerator) {
  entity::PluginConfig row;
  row.config = {{"header_name", "Kong-Request-ID"}, {"generator", nullptr}, {"echo_downstream", false}};
  plugin = *type().make(row, bench.services);
  EXPECT_NE(id_of_a_new_request().find('#'), std::string::npos);
}

}  // namespace
}  // namespace gateway::plugins::correlation_id
