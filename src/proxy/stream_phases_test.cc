#include <thread>

#include "plugin/testing.h"
#include "proxy/testing.h"
#include "proxy/worker.h"
#include "snapshot/publisher.h"

// A real worker that takes streams, with plugins made for this test.

namespace gateway::proxy {
namespace {

using nlohmann::json;
using plugin::Phase;
using testing::Inline;
using testing::Notes;
using testing::noting;
using testing::Socket;

/// Refuses what its row says.
class Gate final : public plugin::Plugin {
 public:
  Gate(const entity::PluginConfig& row, Notes& notes) : name_(row.name), status_(row.config.value("refuse_with", 0U)), notes_(notes) {}

  std::optional<plugin::Refusal> preread(const plugin::StreamSession& session) const override {
    notes_.add(name_ + " preread " + std::string(session.client_ip) + (session.route != nullptr ? " routed" : "") +
               (session.service != nullptr ? " served" : ""));
    if (status_ == 0) return std::nullopt;
    return plugin::Refusal{status_, "not you"};
  }
  void log_stream(const plugin::StreamRecord& record) const noexcept override {
    notes_.add(name_ + " log " + std::to_string(record.status) + " " + std::to_string(record.sent));
  }

 private:
  std::string name_;
  unsigned status_;
  Notes& notes_;
};

class StreamPhases : public ::testing::Test {
 protected:
  StreamPhases()
      : origin_socket_(*net::ListeningSocket::open(*net::SocketAddress::from_ip("127.0.0.1", 0), 8)),
        log_file_(std::move(*telemetry::LogFile::open(""))),
        worker_(options_, {}, *log_file_, *log_file_),
        publisher_(control_, router::Flavour::traditional_compatible,
                   {noting<Gate>("first", 2, Phase::preread | Phase::log, notes_), noting<Gate>("second", 1, Phase::preread | Phase::log, notes_),
                    noting<Gate>("logs", 0, Phase::log, notes_)},
                   bench_.services) {
    tcp_ = listen(*net::ListeningSocket::open(*net::SocketAddress::from_ip("127.0.0.1", 0), 8), {});
    udp_ = listen(*net::ListeningSocket::open_datagram(*net::SocketAddress::from_ip("127.0.0.1", 0)), {.local = {}, .udp = true});
    publisher_.subscribe([this](const snapshot::SnapshotPtr& next) { worker_.replace(next); });
    const std::string service = Uuid::random().to_string();
    change("services", {{"id", service}, {"protocol", "tcp"}, {"host", "127.0.0.1"}, {"port", origin_socket_.local_address().port()}, {"retries", 0}});
    route("tcp", tcp_, {{"id", service}});
    route("udp", udp_, {{"id", service}});
    server_ = std::thread([this] { worker_.run(); });
  }
  ~StreamPhases() override {
    worker_.stop();
    server_.join();
  }

  std::uint16_t listen(net::ListeningSocket socket, const stream::Listening& how) {
    const std::uint16_t port = socket.local_address().port();
    worker_.listen(std::move(socket), how);
    return port;
  }
  void change(const std::string& entity, json document) { testing::change(publisher_, entity, std::move(document)); }
  void route(const char* protocol, std::uint16_t port, json service) {
    change("routes", {{"id", Uuid::random().to_string()}, {"protocols", {protocol}}, {"destinations", {{{"port", port}}}}, {"service", std::move(service)}});
  }
  void use(const std::string& name, json config = json::object()) {
    change("plugins", {{"id", Uuid::random().to_string()}, {"name", name}, {"protocols", {"tcp", "udp"}}, {"config", std::move(config)}});
  }
  std::string said_to_a_client() {
    const Socket client = Socket::to(tcp_);
    return client.read_until({});
  }

  Notes notes_;
  std::uint16_t tcp_ = 0;
  std::uint16_t udp_ = 0;

 private:
  plugin::testing::Bench bench_;
  Inline control_;
  Options options_;
  net::ListeningSocket origin_socket_;
  std::unique_ptr<telemetry::LogFile> log_file_;
  Worker worker_;
  snapshot::Publisher publisher_;
  std::thread server_;
};

using Lines = std::vector<std::string>;

TEST_F(StreamPhases, AreAskedInOrderUntilOneRefuses) {
  use("first");
  use("second", {{"refuse_with", 200}});
  use("logs");
  EXPECT_EQ(said_to_a_client(), "not you");
  EXPECT_EQ(notes_.until("logs log"), (Lines{"first preread 127.0.0.1 routed served", "second preread 127.0.0.1 routed served", "first log 200 7",
                                             "second log 200 7", "logs log 200 7"}));
}

TEST_F(StreamPhases, SpareTheRestOnceOneHasRefused) {
  use("first", {{"refuse_with", 200}});
  use("second");
  EXPECT_EQ(said_to_a_client(), "not you");
  EXPECT_EQ(notes_.until("second log"), (Lines{"first preread 127.0.0.1 routed served", "first log 200 7", "second log 200 7"}));
}

// Whoever speaks TLS through us could not read it, and what answers datagrams may be made to answer others.
TEST_F(StreamPhases, SayNothingToTheClientThatIsNotWelcome) {
  use("first", {{"refuse_with", 403}});
  EXPECT_EQ(said_to_a_client(), "");
  EXPECT_EQ(notes_.until("first log").back(), "first log 403 0");
}

TEST_F(StreamPhases, RefuseDatagrams) {
  use("first", {{"refuse_with", 200}});
  const Socket client = Socket::to(udp_, SOCK_DGRAM);
  client.send("hello");
  EXPECT_EQ(client.read_until("not you"), "not you");
  EXPECT_EQ(notes_.until("first log"), (Lines{"first preread 127.0.0.1 routed served", "first log 200 7"}));
}

}  // namespace
}  // namespace gateway::proxy
