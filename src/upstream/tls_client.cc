#include "upstream/tls_client.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "net/ip.h"

namespace gateway::upstream {
namespace {

Error broken(const char* doing) { return Error{boost::system::errc::make_error_code(boost::system::errc::protocol_error), Origin::upstream, doing}; }

}  // namespace

TlsClient::TlsClient(net::Stream& stream, SSL_CTX* context, const std::string& name, Verify verify) : stream_(stream), ssl_(SSL_new(context)) {
  if (!ssl_) return;
  incoming_ = BIO_new(BIO_s_mem());
  outgoing_ = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl_.get(), incoming_, outgoing_);
  SSL_set_connect_state(ssl_.get());
  const bool is_address = net::IpAddress::parse(name).has_value();
  if (!name.empty() && !is_address) SSL_set_tlsext_host_name(ssl_.get(), name.c_str());
  if (verify == Verify::no) return;
  SSL_set_verify(ssl_.get(), SSL_VERIFY_PEER, nullptr);
  if (is_address) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), name.c_str());
  } else {
    SSL_set1_host(ssl_.get(), name.c_str());
  }
}

Task<Status> TlsClient::flush() {
  char* data = nullptr;
  const long size = BIO_get_mem_data(outgoing_, &data);
  if (size <= 0) co_return Status{};
  const std::string bytes(data, static_cast<std::size_t>(size));
  BIO_reset(outgoing_);
  const Status sent = co_await stream_.write(bytes);
  co_return sent;
}

Task<Result<bool>> TlsClient::exchange(int result) {
  const int wants = SSL_get_error(ssl_.get(), result);
  ERR_clear_error();
  const Status sent = co_await flush();
  if (!sent) co_return sent.error();
  if (wants == SSL_ERROR_ZERO_RETURN) co_return false;
  if (wants != SSL_ERROR_WANT_READ) co_return broken("speaking TLS");
  const Result<bool> more = co_await stream_.more();
  if (!more) co_return more.error();
  const std::string_view data = stream_.data();
  if (data.empty()) co_return false;
  BIO_write(incoming_, data.data(), static_cast<int>(data.size()));
  stream_.consume(data.size());
  co_return true;
}

Task<Status> TlsClient::shake_hands() {
  if (!ssl_) co_return broken("making a TLS session");
  while (true) {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_.get());
    if (result == 1) break;
    const Result<bool> going_on = co_await exchange(result);
    if (!going_on) co_return going_on.error();
    if (!*going_on) co_return broken("shaking hands");
  }
  const Status sent = co_await flush();
  co_return sent;
}

Task<Status> TlsClient::write(std::string_view text) {
  ERR_clear_error();
  const int written = SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
  if (written != static_cast<int>(text.size())) co_return broken("writing over TLS");
  const Status sent = co_await flush();
  co_return sent;
}

Task<Result<bool>> TlsClient::read(std::string& text) {
  char buffer[2048];
  while (true) {
    ERR_clear_error();
    const int got = SSL_read(ssl_.get(), buffer, sizeof buffer);
    if (got > 0) {
      text.append(buffer, static_cast<std::size_t>(got));
      co_return true;
    }
    const Result<bool> going_on = co_await exchange(got);
    if (!going_on) co_return going_on.error();
    if (!*going_on) co_return false;
  }
}

}  // namespace gateway::upstream
