#include "tls/ticket_keys.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tls/default_certificate.h"
#include "tls/server_context.h"

namespace gateway::tls {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

struct OneCertificate final : CertificateSource {
  [[nodiscard]] const ServerCertificate* certificate_for(std::string_view /*server_name*/) const override { return shown.get(); }
  ServerCertificatePtr shown;
};

/// A server and the clients that come to it.
class Tickets : public testing::TestWithParam<int> {
 protected:
  struct ContextDeleter {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };

  Tickets() {
    const PemTexts made = *make_self_signed(KeyType::ecdsa);
    source_.shown = *parse_server_certificate({made.certificate, made.key}, std::nullopt);
    server_ = *ServerContext::make({}, source_);
    server_->set_ticket_keys(ring_.keys());
    SSL_CTX_set_min_proto_version(client_.get(), GetParam());
    SSL_CTX_set_max_proto_version(client_.get(), GetParam());
  }

  void pass(Steady::duration time) {
    now_ += time;
    if (ring_.turn(now_)) server_->set_ticket_keys(ring_.keys());
  }

  struct Visit {
    bool resumed = false;
    TicketPtr ticket;  ///< for the next one
  };

  Visit visit(SSL_SESSION* ticket = nullptr) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    Visit out;
    {
      SslPtr client(SSL_new(client_.get()));
      SSL_set_fd(client.get(), ends[0]);
      SSL_set_connect_state(client.get());
      if (ticket != nullptr) SSL_set_session(client.get(), ticket);
      const std::unique_ptr<Session> server = server_->accept(ends[1], false);
      bool agreed = false;
      for (int turns = 0; turns < 10 && !agreed; ++turns) {
        const int shaken = SSL_do_handshake(client.get());
        agreed = server->open().state == net::Layer::State::moved && shaken == 1;
      }
      EXPECT_TRUE(agreed);
      // Tickets of TLS 1.3 come behind the handshake, with what is said first.
      EXPECT_EQ(server->write({"x"}).state, net::Layer::State::moved);
      char said = 0;
      EXPECT_EQ(SSL_read(client.get(), &said, 1), 1);
      out = {server->resumed(), TicketPtr(SSL_get1_session(client.get()))};
      SSL_shutdown(client.get());  // what ends without is not resumed
    }
    ::close(ends[0]);
    ::close(ends[1]);
    return out;
  }

  Steady::time_point now_{};
  TicketKeyRing ring_{now_};
  OneCertificate source_;
  std::unique_ptr<ServerContext> server_;
  std::unique_ptr<SSL_CTX, ContextDeleter> client_{SSL_CTX_new(TLS_client_method())};
};

INSTANTIATE_TEST_SUITE_P(Versions, Tickets, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION));

TEST_P(Tickets, OfThePreviousKeyAreGoodAndRenewed) {
  const Visit first = visit();
  EXPECT_FALSE(first.resumed);
  pass(hours(1));
  const Visit second = visit(first.ticket.get());
  EXPECT_TRUE(second.resumed);
  // What it got instead is sealed with the new key: it is good when the old one has gone.
  for (int n = 0; n < 24; ++n) pass(hours(1));
  EXPECT_FALSE(visit(first.ticket.get()).resumed);
  EXPECT_TRUE(visit(second.ticket.get()).resumed);
}

TEST_P(Tickets, AreGoodForADayAndNoLonger) {
  const Visit first = visit();
  for (int n = 0; n < 24; ++n) pass(hours(1));
  EXPECT_TRUE(visit(first.ticket.get()).resumed);
  pass(hours(1));
  EXPECT_FALSE(visit(first.ticket.get()).resumed);
}

TEST(TicketKeyRing, TurnsOnceAnHour) {
  Steady::time_point now{};
  TicketKeyRing ring(now);
  const TicketKey first = ring.keys().front();
  EXPECT_FALSE(ring.turn(now + minutes(59)));
  EXPECT_EQ(ring.keys().size(), 1U);
  EXPECT_TRUE(ring.turn(now + minutes(60)));
  ASSERT_EQ(ring.keys().size(), 2U);
  EXPECT_NE(ring.keys()[0].name, first.name);
  EXPECT_EQ(ring.keys()[1].name, first.name);
  EXPECT_FALSE(ring.turn(now + minutes(119)));
}

TEST(TicketKeyRing, KeepsADayOfKeys) {
  Steady::time_point now{};
  TicketKeyRing ring(now);
  for (int n = 0; n < 100; ++n) EXPECT_TRUE(ring.turn(now += hours(1)));
  EXPECT_EQ(ring.keys().size(), 25U);
}

}  // namespace
}  // namespace gateway::tls
