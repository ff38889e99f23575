#include "plugins/file_log/file_log.h"

#include "plugin/testing.h"

namespace gateway::plugins::file_log {
namespace {

using nlohmann::json;
using plugin::testing::Bench;
using plugin::testing::complaints;

TEST(FileLog, AppendsOneLineOfJsonPerRequest) {
  Bench bench;
  bench.exchange->request_id = "0123456789abcdef0123456789abcdef";
  plugin::Record record(*bench.exchange);
  record.status = 200;
  const std::unique_ptr<plugin::Plugin> plugin = bench.make(type(), {{"path", "/tmp/log"}, {"reopen", true}});
  plugin->log(record);
  plugin->log(record);
  ASSERT_EQ(bench.files.lines.size(), 2U);
  const auto& line = bench.files.lines[0];
  EXPECT_EQ(line.path, "/tmp/log");
  EXPECT_TRUE(line.reopen);
  EXPECT_EQ(line.text.find('\n'), line.text.size() - 1);
  EXPECT_EQ(parse_json(line.text)["request"]["id"], "0123456789abcdef0123456789abcdef");
}

TEST(FileLog, BearsBytesThatAreNoText) {
  Bench bench;
  bench.head.headers.add("x", "\xFF\n");
  const plugin::Record record(*bench.exchange);
  bench.make(type(), {{"path", "p"}})->log(record);
  EXPECT_FALSE(parse_json(bench.files.lines.at(0).text).is_discarded());
}

TEST(FileLog, OfARowStoredElsewhereLeavesFieldsByLuaOut) {
  Bench bench;
  entity::PluginConfig row;
  row.config = {{"path", "p"}, {"reopen", false}, {"custom_fields_by_lua", {{"a", "return 1"}}}};
  const plugin::PluginType kind = type();
  const auto made = kind.make(row, bench.services);
  ASSERT_TRUE(made);
  (*made)->log(plugin::Record(*bench.exchange));
  const json line = parse_json(bench.files.lines.at(0).text);
  EXPECT_TRUE(line.contains("request"));
  EXPECT_FALSE(line.contains("a"));
}

TEST(FileLogSettings, TakeNoFieldsByLua) {
  EXPECT_TRUE(complaints(type(), {{"path", "p"}, {"custom_fields_by_lua", {{"a", "return 1"}}}})["config"].contains("custom_fields_by_lua"));
  EXPECT_TRUE(complaints(type(), {{"path", "p"}, {"custom_fields_by_lua", json::object()}}).is_null());
}

TEST(FileLogSettings, NeedAFileName) {
  EXPECT_EQ(complaints(type(), {{"path", "a*b"}}), json({{"config", {{"path", "not a valid filename"}}}}));
  EXPECT_EQ(complaints(type(), json::object()), json({{"config", {{"path", "required field missing"}}}}));
}

}  // namespace
}  // namespace gateway::plugins::file_log
