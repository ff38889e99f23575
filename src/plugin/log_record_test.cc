#include "plugin/log_record.h"

#include "plugin/testing.h"

namespace gateway::plugin {
namespace {

using nlohmann::json;
using testing::Bench;

class LogRecord : public ::testing::Test {
 protected:
  Bench bench;
  json written() const { return log_record(Record(*bench.exchange)); }
};

TEST_F(LogRecord, TellsOfTheRequest) {
  bench.request("GET", "/a?x=1&x=2&y&z=%20");
  bench.head.authority = "gate.test:8000";
  bench.head.headers.add("Authorization", "Basic secret");
  bench.head.headers.add("Proxy-Authorization", "secret");
  bench.head.headers.add("X-A", "1");
  bench.head.headers.add("x-a", "2");
  bench.exchange->request_id = "r";
  Record record(*bench.exchange);
  record.request_size = 77;
  const json request = log_record(record)["request"];
  EXPECT_EQ(request["id"], "r");
  EXPECT_EQ(request["uri"], "/a?x=1&x=2&y&z=%20");
  EXPECT_EQ(request["url"], "http://gate.test:8000/a?x=1&x=2&y&z=%20");
  EXPECT_EQ(request["querystring"], json({{"x", {"1", "2"}}, {"y", true}, {"z", " "}}));
  EXPECT_EQ(request["headers"], json({{"authorization", "REDACTED"}, {"proxy-authorization", "REDACTED"}, {"x-a", {"1", "2"}}}));
  EXPECT_EQ(request["size"], 77);
  EXPECT_EQ(request["method"], "GET");
}

TEST_F(LogRecord, KeepsAnIpv6HostWhole) {
  bench.head.authority = "[::1]";
  EXPECT_EQ(written()["request"]["url"], "http://[::1]:8000/");
  bench.head.authority = "[::1]:9000";
  EXPECT_EQ(written()["request"]["url"], "http://[::1]:8000/");
}

TEST_F(LogRecord, SaysLittleOfARequestThatWasNotProxied) {
  const json record = written();
  EXPECT_EQ(record["upstream_uri"], "");
  EXPECT_EQ(record["upstream_status"], "");
  EXPECT_EQ(record["latencies"]["proxy"], -1);
  EXPECT_EQ(record["source"], "kong");
  for (const char* absent : {"tries", "authenticated_entity", "route", "service", "consumer", "correlation_id"})
    EXPECT_FALSE(record.contains(absent)) << absent;
}

TEST_F(LogRecord, TellsOfTheUpstreamAndTheTries) {
  std::pmr::vector<Try> tries(2);
  tries[0].peer = *net::SocketAddress::from_ip("10.0.0.1", 80);
  tries[0].started = System::time_point(std::chrono::milliseconds(1500));
  tries[0].balancer_latency = std::chrono::microseconds(2500);
  tries[0].failed_with = 502;
  tries[1].peer = *net::SocketAddress::from_ip("10.0.0.2", 80);
  Record record(*bench.exchange);
  record.tries = &tries;
  record.upstream_status = 201;
  record.upstream_latency = std::chrono::milliseconds(4);
  record.kong_latency = std::chrono::milliseconds(1);
  record.receive_latency = std::chrono::milliseconds(2);
  record.request_latency = std::chrono::milliseconds(9);
  record.source = Record::Source::upstream;
  record.upstream_uri = "/x?y";
  const json out = log_record(record);
  EXPECT_EQ(out["upstream_uri"], "/x?y");
  EXPECT_EQ(out["upstream_status"], "502, 201");
  EXPECT_EQ(out["latencies"], json({{"kong", 1}, {"proxy", 4}, {"receive", 2}, {"request", 9}}));
  EXPECT_EQ(out["source"], "upstream");
  EXPECT_EQ(out["tries"][0], json({{"ip", "10.0.0.1"},
                                   {"port", 80},
                                   {"balancer_start", 1500},
                                   {"balancer_start_ns", 1500000000},
                                   {"balancer_latency", 2},
                                   {"balancer_latency_ns", 2500000},
                                   {"state", "failed"},
                                   {"code", 502}}));
  EXPECT_FALSE(out["tries"][1].contains("state"));
}

TEST_F(LogRecord, TellsOfTheResponse) {
  http::Headers headers(bench.arena);
  headers.add("X-B", "1");
  Record record(*bench.exchange);
  record.status = 404;
  record.response_size = 12;
  record.response_headers = &headers;
  EXPECT_EQ(log_record(record)["response"], json({{"status", 404}, {"size", 12}, {"headers", {{"x-b", "1"}}}}));
}

TEST_F(LogRecord, TellsWhoAskedAndWhatFor) {
  const json route_row = {{"id", "00000000-0000-0000-0000-000000000001"}, {"protocols", {"http"}}, {"paths", {"/a"}}, {"tags", {"t"}}};
  const entity::Route route = entity::Route::from_json(route_row);
  const json service_row = {{"id", "00000000-0000-0000-0000-000000000002"}, {"host", "h"}, {"protocol", "http"}};
  const entity::Service service = entity::Service::from_json(service_row);
  const json consumer_row = {{"id", "00000000-0000-0000-0000-000000000003"}, {"username", "ann"}};
  auto credential = std::make_shared<Credential>();
  credential->id_text = "c";
  bench.exchange->route = &route;
  bench.exchange->service = &service;
  bench.exchange->consumer = std::make_shared<entity::Consumer>(entity::Consumer::from_json(consumer_row));
  bench.exchange->credential = credential;
  bench.exchange->correlation_id = "k";
  bench.exchange->started = System::time_point(std::chrono::milliseconds(1234));
  const json out = written();
  EXPECT_EQ(out["route"], route_row);
  EXPECT_EQ(out["service"], service_row);
  EXPECT_EQ(out["consumer"], consumer_row);
  EXPECT_EQ(out["authenticated_entity"], json({{"id", "c"}}));
  EXPECT_EQ(out["correlation_id"], "k");
  EXPECT_EQ(out["client_ip"], "10.1.2.3");
  EXPECT_EQ(out["started_at"], 1234);
  EXPECT_EQ(out["workspace_name"], "default");
}

TEST(StreamLogRecord, TellsOfASessionThatReachedItsService) {
  const entity::Route route = entity::Route::from_json({{"id", "00000000-0000-0000-0000-000000000001"}, {"protocols", {"tls"}}});
  const entity::Service service = entity::Service::from_json({{"id", "00000000-0000-0000-0000-000000000002"}, {"host", "h"}, {"protocol", "tcp"}});
  StreamSession session;
  session.client_ip = "10.1.2.3";
  session.server_port = 9443;
  session.tls_version = "TLSv1.3";
  session.tls_cipher = "TLS_AES_128_GCM_SHA256";
  session.started = System::time_point(std::chrono::milliseconds(1234));
  session.route = &route;
  session.service = &service;
  std::vector<Try> tries(2);
  tries[0].peer = *net::SocketAddress::from_ip("10.0.0.1", 80);
  tries[0].failed_with = 504;
  tries[1].peer = *net::SocketAddress::from_ip("10.0.0.2", 80);
  StreamRecord record(session);
  record.status = 200;
  record.received = 7;
  record.sent = 9;
  record.kong_latency = std::chrono::milliseconds(3);
  record.session_latency = std::chrono::milliseconds(40);
  record.tries = tries;
  json out = log_record(record);
  EXPECT_EQ(out["tries"][0]["code"], 504);
  EXPECT_EQ(out["tries"].size(), 2U);
  EXPECT_EQ(out["route"]["id"], "00000000-0000-0000-0000-000000000001");
  EXPECT_EQ(out["service"]["host"], "h");
  for (const char* seen : {"tries", "route", "service"}) out.erase(seen);
  const json tls = {{"version", "TLSv1.3"}, {"cipher", "TLS_AES_128_GCM_SHA256"}, {"client_verify", "NONE"}};
  EXPECT_EQ(out, json({{"session", {{"received", 7}, {"sent", 9}, {"status", 200}, {"server_port", 9443}, {"tls", tls}}},
                       {"upstream", {{"received", "0, 9"}, {"sent", "0, 7"}}},
                       {"latencies", {{"kong", 3}, {"session", 40}}},
                       {"client_ip", "10.1.2.3"},
                       {"started_at", 1234},
                       {"workspace", ""},
                       {"workspace_name", "default"}}));
}

TEST(StreamLogRecord, SaysLittleOfASessionThatWentNowhere) {
  StreamSession session;
  session.client_ip = "unix:";
  StreamRecord record(session);
  record.status = 500;
  json out = log_record(record);
  EXPECT_EQ(out["upstream"], json::object());
  EXPECT_EQ(out["session"]["status"], 500);
  EXPECT_FALSE(out["session"].contains("tls"));
  for (const char* absent : {"tries", "route", "service", "source"}) EXPECT_FALSE(out.contains(absent)) << absent;
}

TEST(StreamLogRecord, CountsNothingForAServiceThatWasNotReached) {
  const StreamSession session;
  std::vector<Try> tries(1);
  tries[0].failed_with = 502;
  StreamRecord record(session);
  record.received = 7;
  record.tries = tries;
  EXPECT_EQ(log_record(record)["upstream"], json({{"received", 0}, {"sent", 0}}));
}

}  // namespace
}  // namespace gateway::plugin
