#include "telemetry/stream_log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace gateway::telemetry {
namespace {

std::string line(LogFormat format, const StreamEntry& entry) {
  setenv("TZ", "UTC", 1);
  const std::string path = ::testing::TempDir() + "stream_log_test_" + std::to_string(getpid());
  unlink(path.c_str());
  {
    const std::unique_ptr<LogFile> file = LogFile::open(path).value();
    LogBuffer buffer(*file);
    append_stream(buffer, format, entry);
  }
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  unlink(path.c_str());
  return text.str();
}

StreamEntry example() {
  StreamEntry entry;
  entry.client_ip = "10.0.0.1";
  entry.protocol = "TCP";
  entry.status = 200;
  entry.bytes_sent = 1234;
  entry.bytes_received = 56;
  entry.duration = std::chrono::milliseconds(12034);
  entry.time = System::time_point(std::chrono::milliseconds(1767323045678));  // 2026-01-02T03:04:05.678Z
  return entry;
}

TEST(StreamLog, TheLineIsKongsBasic) { EXPECT_EQ(line(LogFormat::plain, example()), "10.0.0.1 [02/Jan/2026:03:04:05 +0000] TCP 200 1234 56 12.034\n"); }

TEST(StreamLog, OrAJsonObject) {
  StreamEntry entry = example();
  entry.sni = "a\"b\n";
  entry.service = "s";
  entry.upstream = "10.0.0.2:80";
  EXPECT_EQ(line(LogFormat::json, entry),
            "{\"time\":\"2026-01-02T03:04:05.678Z\",\"client_ip\":\"10.0.0.1\",\"protocol\":\"TCP\",\"status\":200,\"bytes_sent\":1234,"
            "\"bytes_received\":56,\"session_ms\":12034,\"sni\":\"a\\\"b\\u000A\",\"service\":\"s\",\"upstream\":\"10.0.0.2:80\"}\n");
}

}  // namespace
}  // namespace gateway::telemetry
