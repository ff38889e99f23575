#include "telemetry/access_log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/log.h"
#include "telemetry/error_log.h"

namespace gateway::telemetry {
namespace {

class LogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    setenv("TZ", "UTC", 1);
    path = ::testing::TempDir() + "log_test_" + std::to_string(getpid());
    unlink(path.c_str());
    file = LogFile::open(path).value();
  }
  void TearDown() override { unlink(path.c_str()); }

  static std::string contents(const std::string& of) {
    std::ostringstream text;
    text << std::ifstream(of).rdbuf();
    return text.str();
  }
  std::string line(LogFormat format, const AccessEntry& entry) {
    LogBuffer buffer(*file);
    append_access(buffer, format, entry);
    const std::size_t before = contents(path).size();
    buffer.flush();
    return contents(path).substr(before);
  }

  std::string path;
  std::unique_ptr<LogFile> file;
};

AccessEntry example() {
  AccessEntry entry;
  entry.client_ip = "10.0.0.1";
  entry.method = "GET";
  entry.target = "/a?b=c";
  entry.version = "HTTP/1.1";
  entry.status = 200;
  entry.body_bytes = 1234;
  entry.user_agent = "curl/8";
  entry.request_id = "0123456789abcdef";
  entry.request_ms = 12;
  entry.gateway_ms = 2;
  entry.time = System::time_point(std::chrono::milliseconds(1767323045678));  // 2026-01-02T03:04:05.678Z
  return entry;
}

TEST_F(LogTest, PlainLineIsKongsDefault) {
  EXPECT_EQ(line(LogFormat::plain, example()),
            "10.0.0.1 - - [02/Jan/2026:03:04:05 +0000] \"GET /a?b=c HTTP/1.1\" 200 1234 \"-\" \"curl/8\" "
            "kong_request_id: \"0123456789abcdef\"\n");
}

TEST_F(LogTest, PlainLineWithoutARequest) {
  AccessEntry entry = example();
  entry.method = entry.target = entry.version = entry.user_agent = {};
  entry.status = 0;
  EXPECT_EQ(line(LogFormat::plain, entry), "10.0.0.1 - - [02/Jan/2026:03:04:05 +0000] \"-\" 000 1234 \"-\" \"-\" kong_request_id: \"0123456789abcdef\"\n");
}

TEST_F(LogTest, PlainValuesAreEscapedAsNginxDoes) {
  AccessEntry entry = example();
  entry.user_agent = "a\"b\\c\n\x1f\x7f\xc3\xa9~";
  const std::string text = line(LogFormat::plain, entry);
  EXPECT_NE(text.find("\"a\\x22b\\x5Cc\\x0A\\x1F\\x7F\\xC3\\xA9~\""), std::string::npos) << text;
}

TEST_F(LogTest, JsonLineIsOneObject) {
  AccessEntry entry = example();
  entry.host = "example.com";
  entry.service = "s";
  entry.route = "r";
  entry.upstream = "10.0.0.9:80";
  entry.upstream_ms = 9;
  EXPECT_EQ(line(LogFormat::json, entry),
            "{\"time\":\"2026-01-02T03:04:05.678Z\",\"client_ip\":\"10.0.0.1\",\"method\":\"GET\",\"host\":\"example.com\","
            "\"target\":\"/a?b=c\",\"version\":\"HTTP/1.1\",\"status\":200,\"body_bytes\":1234,\"user_agent\":\"curl/8\","
            "\"request_id\":\"0123456789abcdef\",\"service\":\"s\",\"route\":\"r\",\"upstream\":\"10.0.0.9:80\","
            "\"request_ms\":12,\"upstream_ms\":9,\"gateway_ms\":2}\n");
}

TEST_F(LogTest, JsonIsAlwaysValidUtf8) {
  AccessEntry entry = example();
  entry.user_agent = "q\"\\\n \xc3\xa9 \xff \xc0\xaf \xed\xa0\x80 \xe2\x82";
  const std::string text = line(LogFormat::json, entry);
  EXPECT_NE(text.find("\"q\\\"\\\\\\u000A \xc3\xa9 \\ufffd \\ufffd\\ufffd \\ufffd\\ufffd\\ufffd \\ufffd\\ufffd\""), std::string::npos) << text;
}

TEST_F(LogTest, BufferWritesWhenFullAndAtItsEnd) {
  {
    LogBuffer buffer(*file);
    const std::string kilobyte(1023, 'x');
    for (int i = 0; i < 63; ++i) buffer.append(kilobyte);
    EXPECT_EQ(contents(path).size(), 0U);
    buffer.append(kilobyte);
    EXPECT_EQ(contents(path).size(), 64U * 1024);
    buffer.append("last");
    EXPECT_EQ(contents(path).size(), 64U * 1024);
  }
  EXPECT_EQ(contents(path).size(), 64U * 1024 + 5);
}

TEST_F(LogTest, APieceLargerThanTheBufferKeepsTheOrder) {
  LogBuffer buffer(*file);
  buffer.append("first");
  AccessEntry entry = example();
  const std::string huge(100000, '"');
  entry.target = huge;
  append_access(buffer, LogFormat::plain, entry);
  buffer.append("last");
  buffer.flush();
  const std::string text = contents(path);
  EXPECT_EQ(text.substr(0, 6), "first\n");
  EXPECT_EQ(text.substr(text.size() - 5), "last\n");
  EXPECT_GT(text.size(), 400000U);
}

TEST_F(LogTest, ReopenFollowsTheRotation) {
  file->write("old\n");
  const std::string moved = path + ".1";
  ASSERT_EQ(rename(path.c_str(), moved.c_str()), 0);
  file->write("still old\n");
  ASSERT_TRUE(file->reopen().has_value());
  file->write("new\n");
  EXPECT_EQ(contents(moved), "old\nstill old\n");
  EXPECT_EQ(contents(path), "new\n");
  unlink(moved.c_str());
}

TEST_F(LogTest, ReopenWhileOthersWriteLosesNothing) {
  std::thread writer([this] {
    for (int i = 0; i < 2000; ++i) file->write("line\n");
  });
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(file->reopen().has_value());
  writer.join();
  EXPECT_EQ(contents(path).size(), 10000U);
}

TEST(LogFile, OffWritesNothing) {
  for (const char* path : {"", "off"}) {
    const auto none = LogFile::open(path).value();
    EXPECT_FALSE(none->enabled());
    LogBuffer buffer(*none);
    buffer.append("x");
    append_access(buffer, LogFormat::plain, example());
    buffer.flush();
    EXPECT_TRUE(none->reopen().has_value());
  }
}

TEST(LogFile, TellsWhatCannotBeOpened) {
  const auto failed = LogFile::open("/nonexistent/dir/access.log");
  ASSERT_TRUE(failed.has_error());
  EXPECT_EQ(failed.error().to_string(), "opening the log /nonexistent/dir/access.log: No such file or directory");
}

TEST_F(LogTest, ErrorLogPlainAndJson) {
  log_errors_to(*file, LogFormat::plain);
  log::error("bad {}\nforged [error]", 7);
  log_errors_to(*file, LogFormat::json);
  log::warn("a \"quote\"");
  std::istringstream lines(contents(path));
  log::set_sink([](log::Level, std::string_view) {});
  std::string plain, json, rest;
  std::getline(lines, plain);
  std::getline(lines, json);
  EXPECT_FALSE(std::getline(lines, rest));
  const std::string pid = std::to_string(getpid());
  EXPECT_EQ(plain.substr(19), " [error] " + pid + "#0: bad 7\\x0Aforged [error]");
  EXPECT_EQ(plain[4], '/');
  EXPECT_EQ(json.substr(34), ",\"level\":\"warn\",\"pid\":" + pid + ",\"message\":\"a \\\"quote\\\"\"}");
}

}  // namespace
}  // namespace gateway::telemetry
