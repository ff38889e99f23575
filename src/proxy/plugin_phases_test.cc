#include <fcntl.h>

#include <atomic>
#include <thread>

#include "plugin/testing.h"
#include "proxy/testing.h"
#include "proxy/worker.h"
#include "snapshot/publisher.h"

// A real worker between a client and an origin, with plugins made for this test: every phase, and what may
// come of it.

namespace gateway::proxy {
namespace {

using nlohmann::json;
using plugin::Exchange;
using plugin::Flow;
using plugin::Phase;
using plugin::Step;
using testing::Inline;
using testing::Notes;
using testing::noting;
using testing::Socket;

/// Runs in every phase of its type; replies in the one its row names, after a wait when it says so.
class Probe final : public plugin::Plugin {
 public:
  Probe(const entity::PluginConfig& row, Notes& notes)
      : name_(row.name), reply_in_(row.config.value("reply_in", "")), waits_(row.config.value("waits", false)), notes_(notes) {}

  Step rewrite(Exchange&) const override { return step("rewrite"); }
  Step access(Exchange&) const override { return step("access"); }
  Step response(Exchange&, plugin::BufferedResponse& response) const override {
    response.body = "[" + response.body + "]";
    response.head.headers.set("X-Buffered", "yes");
    return step("response");
  }
  void header_filter(Exchange&, unsigned& status, http::Headers& headers) const override {
    notes_.add(name_ + " header_filter " + std::to_string(status));
    headers.set("X-Filtered", "yes");
    if (status == 202) status = 203;
  }
  void body_filter(Exchange&, std::string& piece, bool last) const override {
    for (char& c : piece) c = static_cast<char>(std::toupper(c));
    if (last) piece += '!';
  }
  void log(const plugin::Record& record) const noexcept override {
    std::string type = record.response_headers != nullptr ? std::string(record.response_headers->value("X-Refusal")) : "";
    notes_.add(name_ + " log " + std::to_string(record.status) + (record.source == plugin::Record::Source::kong ? " kong" : " upstream") +
               (type.empty() ? "" : " " + type));
  }

 private:
  Step step(const char* phase) const {
    notes_.add(name_ + " " + phase);
    if (waits_) return later(phase);
    return decide(phase);
  }
  Task<Flow> later(const char* phase) const { co_return decide(phase); }
  Flow decide(const char* phase) const {
    if (reply_in_ != phase) return Flow::next();
    http::Reply reply;
    reply.status = 418;
    reply.body = "refused";
    reply.headers.emplace_back("X-Refusal", std::string("a text too long for any string to keep inside, in ") + phase);
    return Flow::reply(std::move(reply));
  }

  std::string name_;
  std::string reply_in_;
  bool waits_;
  Notes& notes_;
};

class PluginPhases : public ::testing::Test {
 protected:
  PluginPhases()
      : origin_socket_(*net::ListeningSocket::open(*net::SocketAddress::from_ip("127.0.0.1", 0), 8)),
        log_file_(std::move(*telemetry::LogFile::open(""))),
        worker_(options_, {}, *log_file_, *log_file_),
        publisher_(control_, router::Flavour::traditional_compatible,
                   {noting<Probe>("streaming", 2, Phase::rewrite | Phase::access | Phase::header_filter | Phase::body_filter | Phase::log, notes_),
                    noting<Probe>("buffering", 1, Phase::response, notes_), noting<Probe>("last", 0, Phase::access | Phase::log, notes_)},
                   bench_.services) {
    net::ListeningSocket socket = *net::ListeningSocket::open(*net::SocketAddress::from_ip("127.0.0.1", 0), 8);
    port_ = socket.local_address().port();
    worker_.listen(std::move(socket), Listening{});
    publisher_.subscribe([this](const snapshot::SnapshotPtr& next) { worker_.replace(next); });
    const std::string service = Uuid::random().to_string();
    change("services", {{"id", service}, {"protocol", "http"}, {"host", "127.0.0.1"}, {"port", origin_socket_.local_address().port()}, {"retries", 0}});
    change("routes", {{"id", Uuid::random().to_string()}, {"protocols", {"http"}}, {"paths", {"/"}}, {"service", {{"id", service}}}});
    ::fcntl(origin_socket_.descriptor(), F_SETFL, 0);  // may block: it has a thread of its own
    origin_ = std::thread([this] { serve(); });
    server_ = std::thread([this] { worker_.run(); });
  }
  ~PluginPhases() override {
    worker_.stop();
    server_.join();
    ::shutdown(origin_socket_.descriptor(), SHUT_RDWR);
    origin_.join();
  }

  void change(const std::string& entity, json document) { testing::change(publisher_, entity, std::move(document)); }
  void use(const std::string& name, json config = json::object()) {
    change("plugins", {{"id", Uuid::random().to_string()}, {"name", name}, {"protocols", {"http"}}, {"config", std::move(config)}});
  }

  void serve() {
    for (;;) {
      const int accepted = ::accept(origin_socket_.descriptor(), nullptr, nullptr);
      if (accepted < 0) return;  // shut down
      const Socket peer(accepted);
      peer.read_until("\r\n\r\n");
      ++asked_;
      peer.send(answer_);
    }
  }

  std::string ask(const std::string& method = "GET") {
    const Socket client = Socket::to(port_);
    client.send(method + " / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    return client.read_until({});
  }
  static std::string body_of(const std::string& answer) { return answer.substr(answer.find("\r\n\r\n") + 4); }
  static bool has(const std::string& answer, std::string_view text) { return answer.find(text) != std::string::npos; }

  std::atomic<int> asked_ = 0;
  std::string answer_ = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
  Notes notes_;

 private:
  plugin::testing::Bench bench_;
  Inline control_;
  Options options_;
  net::ListeningSocket origin_socket_;
  std::unique_ptr<telemetry::LogFile> log_file_;
  Worker worker_;
  snapshot::Publisher publisher_;
  std::uint16_t port_ = 0;
  std::thread origin_;
  std::thread server_;
};

using Lines = std::vector<std::string>;

TEST_F(PluginPhases, ComeInOrder) {
  use("streaming");
  use("last");
  const std::string answer = ask();
  EXPECT_TRUE(has(answer, "HTTP/1.1 200 OK")) << answer;
  EXPECT_TRUE(has(answer, "X-Filtered: yes"));
  EXPECT_TRUE(has(answer, "\r\n6\r\nHELLO!\r\n0\r\n\r\n")) << answer;
  EXPECT_FALSE(has(answer, "Content-Length")) << "who changes the body changes its length";
  EXPECT_EQ(notes_.until("last log"), (Lines{"streaming rewrite", "streaming access", "last access", "streaming header_filter 200",
                                             "streaming log 200 upstream", "last log 200 upstream"}));
}

TEST_F(PluginPhases, MayWait) {
  use("streaming", {{"waits", true}});
  use("buffering", {{"waits", true}});
  EXPECT_TRUE(has(ask(), "[HELLO]!"));
}

TEST_F(PluginPhases, MayChangeTheStatusAndEveryPieceOfABody) {
  answer_ = "HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n";
  use("streaming");
  const std::string answer = ask();
  EXPECT_TRUE(has(answer, "HTTP/1.1 203 ")) << answer;
  EXPECT_TRUE(has(answer, "ABC") && has(answer, "DEF!")) << answer;
}

TEST_F(PluginPhases, LeaveTheBodyOfAHeadRequestAlone) {
  answer_ = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
  use("streaming");
  EXPECT_EQ(body_of(ask("HEAD")), "");
}

TEST_F(PluginPhases, OfTheResponseHaveItWhole) {
  answer_ = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n";
  use("buffering");
  const std::string answer = ask();
  EXPECT_TRUE(has(answer, "X-Buffered: yes"));
  EXPECT_TRUE(has(answer, "Content-Length: 8\r\n")) << answer;
  EXPECT_EQ(body_of(answer), "[abcdef]");
}

TEST_F(PluginPhases, ThatReplyInRewriteSpareTheRest) {
  use("streaming", {{"reply_in", "rewrite"}});
  use("last");
  const std::string answer = ask();
  EXPECT_TRUE(has(answer, "HTTP/1.1 418 ")) << answer;
  EXPECT_TRUE(has(answer, "Content-Length: 8\r\n"));
  EXPECT_EQ(body_of(answer), "REFUSED!") << "our own answers pass the filters too";
  EXPECT_EQ(notes_.until("last log"),
            (Lines{"streaming rewrite", "streaming header_filter 418", "streaming log 418 kong a text too long for any string to keep inside, in rewrite",
                   "last log 418 kong a text too long for any string to keep inside, in rewrite"}));
  EXPECT_EQ(asked_, 0);
}

TEST_F(PluginPhases, ThatReplyInAccessStopAccessAlone) {
  use("streaming", {{"reply_in", "access"}, {"waits", true}});
  use("last");
  EXPECT_EQ(body_of(ask()), "REFUSED!");
  EXPECT_EQ(notes_.until("last log"), (Lines{"streaming rewrite", "streaming access", "streaming header_filter 418",
                                             "streaming log 418 kong a text too long for any string to keep inside, in access",
                                             "last log 418 kong a text too long for any string to keep inside, in access"}));
  EXPECT_EQ(asked_, 0);
}

TEST_F(PluginPhases, ThatReplyInResponseReplaceTheUpstreamsAnswer) {
  use("buffering", {{"reply_in", "response"}});
  use("last");
  const std::string answer = ask();
  EXPECT_TRUE(has(answer, "HTTP/1.1 418 ")) << answer;
  EXPECT_EQ(body_of(answer), "refused");
  const Lines notes = notes_.until("last log");
  EXPECT_EQ(notes.back(), "last log 418 kong a text too long for any string to keep inside, in response");
  EXPECT_EQ(asked_, 1);
}

}  // namespace
}  // namespace gateway::proxy
