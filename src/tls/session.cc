#include "tls/session.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "net/system_call.h"

namespace gateway::tls {
namespace {

using boost::system::error_code;

constexpr std::size_t record_bytes = 16384;

class OpensslCategory final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "TLS"; }
  std::string message(int code) const override {
    const char* text = ERR_reason_error_string(static_cast<unsigned long>(static_cast<unsigned>(code)));
    return text != nullptr ? text : "TLS failure";
  }
};

class VerifyCategory final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "certificate"; }
  std::string message(int code) const override { return X509_verify_cert_error_string(code); }
};

}  // namespace

const boost::system::error_category& error_category() noexcept {
  static const OpensslCategory category;
  return category;
}

const boost::system::error_category& verify_category() noexcept {
  static const VerifyCategory category;
  return category;
}

error_code last_error() noexcept {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  if (code == 0) return boost::system::errc::make_error_code(boost::system::errc::protocol_error);
  return {static_cast<int>(static_cast<unsigned>(code)), error_category()};
}

namespace {

bool has_reason(const error_code& error, int reason) noexcept {
  return error.category() == error_category() && ERR_GET_REASON(static_cast<unsigned long>(static_cast<unsigned>(error.value()))) == reason;
}

}  // namespace

bool is_plain_http(const error_code& error) noexcept { return has_reason(error, SSL_R_HTTP_REQUEST); }

bool is_no_common_protocol(const error_code& error) noexcept { return has_reason(error, SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL); }

/// OpenSSL's way to our socket. Its own would not tell when the socket was read empty.
struct SocketBio {
  static int read(BIO* bio, char* into, int room) {
    BIO_clear_retry_flags(bio);
    const int got = session(bio).receive(into, room);
    if (got < 0 && errno == EAGAIN) BIO_set_retry_read(bio);
    return got;
  }

  static int write(BIO* bio, const char* bytes, int size) {
    BIO_clear_retry_flags(bio);
    for (;;) {
      const ssize_t sent = net::send_now(session(bio).socket_, bytes, static_cast<std::size_t>(size));
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) BIO_set_retry_write(bio);
      return static_cast<int>(sent);
    }
  }

  static long control(BIO* /*bio*/, int what, long /*number*/, void* /*pointer*/) { return what == BIO_CTRL_FLUSH ? 1 : 0; }

  static BIO* make(Session& session) {
    static BIO_METHOD* const method = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
      BIO_meth_set_read(made, &SocketBio::read);
      BIO_meth_set_write(made, &SocketBio::write);
      BIO_meth_set_ctrl(made, &SocketBio::control);
      return made;
    }();
    BIO* bio = BIO_new(method);
    BIO_set_data(bio, &session);
    BIO_set_init(bio, 1);
    return bio;
  }

  static Session& session(BIO* bio) { return *static_cast<Session*>(BIO_get_data(bio)); }
};

Session::Session(SslPtr ssl, int socket) : ssl_(std::move(ssl)), socket_(socket) {
  SSL_set_app_data(ssl_.get(), this);
  BIO* bio = SocketBio::make(*this);
  SSL_set_bio(ssl_.get(), bio, bio);
}

Session& Session::of(const SSL* ssl) noexcept { return *static_cast<Session*>(SSL_get_app_data(ssl)); }

int Session::receive(char* into, int room) noexcept {
  if (!early_.empty()) {
    const std::size_t part = std::min(early_.size(), static_cast<std::size_t>(room));
    std::memcpy(into, early_.data(), part);
    early_.erase(0, part);
    return static_cast<int>(part);
  }
  int left = 0;
  const ssize_t got = net::receive_now(socket_, into, static_cast<std::size_t>(room), 0, left);
  if (got < 0 && errno == EWOULDBLOCK) errno = EAGAIN;
  // Fewer bytes than there was room for do not tell: the end of the stream may have come with them, which those who wait
  // for the next edge would miss. The kernel's hint counts it.
  drained_ = got < 0 || left == 0;
  return static_cast<int>(got);
}

net::Layer::Moved Session::outcome(int result) noexcept {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_NONE: return {State::moved};
    case SSL_ERROR_WANT_READ: return {State::wait_to_read};
    case SSL_ERROR_WANT_WRITE: return {State::wait_to_write};
    case SSL_ERROR_ZERO_RETURN: return {State::ended};
    case SSL_ERROR_SYSCALL:
      // TLS has not failed but what is below it. Without this OpenSSL would refuse to resume the session (RFC 8446, 6.1, asks
      // for no such thing), and many a peer ends its connections without a word.
      SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
      error_ = errno != 0 ? error_code(errno, boost::system::system_category()) : boost::system::errc::make_error_code(boost::system::errc::connection_reset);
      break;
    default: {
      const long verified = SSL_get_verify_result(ssl_.get());
      error_ = last_error();
      if (verified != X509_V_OK && !open_) error_ = {static_cast<int>(verified), verify_category()};
    }
  }
  ERR_clear_error();
  end_said_ = true;  // nothing can be said any more
  return {State::failed};
}

net::Layer::Moved Session::open() noexcept {
  ERR_clear_error();
  errno = 0;
  const Moved moved = outcome(SSL_do_handshake(ssl_.get()));
  open_ = moved.state == State::moved;
  return moved;
}

net::Layer::Moved Session::read(char* into, std::size_t room) noexcept {
  drained_ = false;
  std::size_t total = 0;
  for (;;) {
    ERR_clear_error();
    errno = 0;
    std::size_t bytes = 0;
    const int result = SSL_read_ex(ssl_.get(), into + total, room - total, &bytes);
    total += bytes;
    if (result == 1) {
      if (total == room || SSL_has_pending(ssl_.get()) == 0) return {State::moved, total, drained_ && SSL_has_pending(ssl_.get()) == 0};
      continue;
    }
    const Moved moved = outcome(result);
    // What came before an end or an error is given out first; the next read meets it again, and must not wait for the socket.
    end_met_ = moved.state == State::ended || moved.state == State::failed;
    if (total > 0) return {State::moved, total, moved.state == State::wait_to_read && drained_};
    return moved;
  }
}

// Small pieces leave in one record: a head and its body, not one after the other.
net::Layer::Moved Session::write(const Pieces& pieces) noexcept {
  thread_local std::array<char, record_bytes> gathered;
  const char* data = nullptr;
  std::size_t size = 0;
  for (const std::string_view piece : pieces) {
    if (piece.empty()) continue;
    if (size == 0) {
      data = piece.data();
      size = piece.size();
      if (size >= record_bytes) break;
      continue;
    }
    if (data != gathered.data()) {
      std::memcpy(gathered.data(), data, size);
      data = gathered.data();
    }
    const std::size_t part = std::min(piece.size(), record_bytes - size);
    std::memcpy(gathered.data() + size, piece.data(), part);
    size += part;
    if (size == record_bytes) break;
  }
  ERR_clear_error();
  errno = 0;
  std::size_t written = 0;
  const int result = SSL_write_ex(ssl_.get(), data, size, &written);
  if (result == 1) return {State::moved, written};
  return outcome(result);
}

void Session::say_end() noexcept {
  if (!open_ || end_said_) return;
  end_said_ = true;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

std::string_view Session::alpn() const noexcept {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

// A connection that was cut off is no reason to forget its session (OpenSSL would); a fatal error has done so already.
Session::~Session() {
  if (open_) SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

std::string_view Session::server_name() const noexcept {
  const char* name = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name);
  return name != nullptr ? std::string_view(name) : std::string_view{};
}

}  // namespace gateway::tls
