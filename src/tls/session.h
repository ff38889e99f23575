#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

#include "net/layer.h"

namespace gateway::tls {

struct SslDeleter {
  void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
};
using SslPtr = std::unique_ptr<SSL, SslDeleter>;
struct TicketDeleter {
  void operator()(SSL_SESSION* ticket) const noexcept { SSL_SESSION_free(ticket); }
};
using TicketPtr = std::unique_ptr<SSL_SESSION, TicketDeleter>;

/// One TLS connection over a socket, either side of it: the layer of a stream.
///
/// Reads into OpenSSL's own buffer, several records at a time, and writes records straight to the socket: no copy that
/// OpenSSL does not make itself.
class Session final : public net::Layer {
 public:
  /// `socket` must live as long. `ssl` knows already whether it accepts or connects.
  Session(SslPtr ssl, int socket);
  ~Session() override;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Bytes that were read from the socket before there was a session. Before open().
  void begin_with(std::string_view bytes) { early_.assign(bytes); }

  /// Leaves out what HTTP says of protocols (ALPN): what is spoken here is the peers' own business. Before open().
  void speak_anything() noexcept {
    any_protocol_ = true;
    SSL_set_alpn_protos(ssl_.get(), nullptr, 0);
  }
  [[nodiscard]] bool speaks_anything() const noexcept { return any_protocol_; }

  Moved open() noexcept override;
  Moved read(char* into, std::size_t room) noexcept override;
  Moved write(const Pieces& pieces) noexcept override;
  [[nodiscard]] bool holds_input() const noexcept override { return !early_.empty() || end_met_ || SSL_has_pending(ssl_.get()) == 1; }
  void say_end() noexcept override;
  [[nodiscard]] boost::system::error_code error() const noexcept override { return error_; }

  // After open():
  [[nodiscard]] std::string_view alpn() const noexcept;  ///< "h2", "http/1.1"; empty when none was agreed on
  [[nodiscard]] std::string_view server_name() const noexcept;
  [[nodiscard]] std::string_view version() const noexcept { return SSL_get_version(ssl_.get()); }
  [[nodiscard]] std::string_view cipher() const noexcept { return SSL_get_cipher_name(ssl_.get()); }
  [[nodiscard]] bool resumed() const noexcept { return SSL_session_reused(ssl_.get()) == 1; }

  /// The session an SSL object belongs to.
  [[nodiscard]] static Session& of(const SSL* ssl) noexcept;
  /// What the peer sent for a later resumption; takes it over.
  void keep_ticket(SSL_SESSION* ticket) noexcept { ticket_.reset(ticket); }
  [[nodiscard]] TicketPtr take_ticket() noexcept { return std::move(ticket_); }

 private:
  friend struct SocketBio;
  Moved outcome(int result) noexcept;
  int receive(char* into, int room) noexcept;

  SslPtr ssl_;
  int socket_;
  std::string early_;
  TicketPtr ticket_;
  boost::system::error_code error_;
  bool drained_ = false;
  bool end_met_ = false;
  bool open_ = false;
  bool end_said_ = false;
  bool any_protocol_ = false;
};

/// Of OpenSSL's errors ("wrong version number") and of what is wrong with a certificate ("certificate has expired").
[[nodiscard]] const boost::system::error_category& error_category() noexcept;
[[nodiscard]] const boost::system::error_category& verify_category() noexcept;

/// The other side did not shake hands: it asked in clear text.
[[nodiscard]] bool is_plain_http(const boost::system::error_code& error) noexcept;

/// The other side speaks none of the protocols that it was offered (RFC 7301, 3.2).
[[nodiscard]] bool is_no_common_protocol(const boost::system::error_code& error) noexcept;

/// The newest of OpenSSL's errors on this thread; the queue is empty afterwards.
[[nodiscard]] boost::system::error_code last_error() noexcept;

}  // namespace gateway::tls
