#include "proxy/connection.h"

#include <boost/asio/generic/stream_protocol.hpp>

#include "base/ascii.h"
#include "base/log.h"
#include "net/linger.h"
#include "net/proxy_protocol.h"
#include "proxy/client_address.h"
#include "proxy/h1_client.h"
#include "proxy/h2_connection.h"
#include "proxy/worker.h"
#include "tls/server_context.h"

namespace gateway::proxy {
namespace {

// RFC 9113, 3.4: what a client that speaks HTTP/2 says first.
constexpr std::string_view http2_preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::chrono::milliseconds drain_grace{1000};
// As nginx tells a client that took a TLS port for another; there is no request yet that could be answered.
constexpr std::string_view plain_http_answer =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: 47\r\n\r\n"
    "The plain HTTP request was sent to HTTPS port.\n";

}  // namespace

Connection::Connection(Worker& worker, int descriptor, const net::SocketAddress& peer, const Listening& at)
    : worker_(worker), stream_(worker.loop(), input_bytes), at_(at) {
  boost::system::error_code ignored;
  stream_.socket().assign(boost::asio::generic::stream_protocol(at.local.family(), at.local.family() == AF_UNIX ? 0 : IPPROTO_TCP), descriptor, ignored);
  note_addresses(peer, at.local);
  facts_.serial = worker.next_serial();
  facts_.tls = at.tls;
  stream_.write_timeout(worker.options().send_timeout);
}

void Connection::note_addresses(const net::SocketAddress& peer, const net::SocketAddress& local) {
  const Options& options = worker_.options();
  peer_ip_ = peer.ip();
  server_ip_ = local.ip();
  facts_.peer_ip = facts_.client_ip = peer_ip_;
  facts_.client_port = peer.port();
  facts_.server_ip = server_ip_;
  facts_.server_port = local.port();
  if (const auto mapped = options.port_maps.find(local.port()); mapped != options.port_maps.end()) facts_.server_port = mapped->second;
  facts_.trusted = is_trusted(peer_ip_, options);
}

void Connection::drain() noexcept {
  draining_ = true;
  if (codec_) {
    codec_->drain();
  } else {
    stream_.expires_after(drain_grace);
  }
}

void Connection::abort() noexcept {
  draining_ = true;
  stream_.cancel();
  if (codec_) codec_->abort();
}

Task<void> Connection::serve() {
  codec_ = co_await open();
  if (codec_) {
    if (draining_) codec_->drain();
    co_await codec_->serve();
  }
  co_await stream_.finish();
  worker_.remove(*this);
}

// Null: it has ended already.
Task<std::unique_ptr<Codec>> Connection::open() {
  stream_.expires_after(worker_.options().head_timeout);
  if (at_.proxy_protocol) {
    const bool read = co_await read_proxy_header();
    if (!read) co_return nullptr;
  }
  bool http2 = false;
  if (at_.tls) {
    const bool agreed = co_await shake_hands();
    if (!agreed) co_return nullptr;
    const auto& session = static_cast<const tls::Session&>(*stream_.layer());
    note_tls(session);
    http2 = session.alpn() == "h2";
  } else if (at_.http2) {
    http2 = co_await greets_with_http2();
  }
  if (http2) co_return std::make_unique<H2Connection>(*this);
  co_return std::make_unique<H1Client>(*this);
}

void Connection::note_tls(const tls::Session& session) {
  sni_ = lower_case(session.server_name());
  facts_.sni = sni_;
  facts_.tls_version = session.version();
  facts_.tls_cipher = session.cipher();
}

// Source: HAProxy, proxy-protocol.txt: a listener that expects the header takes nothing without it.
Task<bool> Connection::read_proxy_header() {
  for (;;) {
    const net::ProxyHeader header = net::parse_proxy_header(stream_.data());
    if (header.state == net::ProxyHeader::State::malformed) {
      log::info("closed a connection from {}: no PROXY protocol header at its beginning", peer_ip_);
      co_return false;
    }
    if (header.state == net::ProxyHeader::State::complete) {
      stream_.consume(header.size);
      const bool believed = worker_.options().real_ip_by_proxy_protocol && facts_.trusted;
      if (header.source && believed) {
        facts_.client_ip = client_ip_ = header.source->ip();
        facts_.client_port = header.source->port();
      }
      co_return true;
    }
    if (!stream_.reading() && stream_.data().size() >= input_bytes) stream_.reserve(2 * input_bytes);
    const Result<bool> more = co_await stream_.more();
    if (!more || !*more || stream_.timed_out()) co_return false;
  }
}

Task<bool> Connection::shake_hands() {
  std::unique_ptr<tls::Session> session = worker_.tls().accept(stream_.socket().native_handle(), at_.http2);
  session->begin_with(stream_.data());
  stream_.consume(stream_.data().size());
  stream_.release_block();
  const Status agreed = co_await stream_.open(std::move(session));
  if (agreed) co_return true;
  log::info("no TLS with {}: {}", peer_ip_, agreed.error().code.message());
  if (tls::is_plain_http(agreed.error().code)) {
    const Status told = co_await stream_.write(plain_http_answer);
    if (told) co_await net::linger(stream_);
  }
  co_return false;
}

// Looks no further than it must: any other first line is of HTTP/1.
Task<bool> Connection::greets_with_http2() {
  for (;;) {
    const std::string_view data = stream_.data().substr(0, http2_preface.size());
    if (data != http2_preface.substr(0, data.size())) co_return false;
    if (data.size() == http2_preface.size()) co_return true;
    const Result<bool> more = co_await stream_.more();
    if (!more || !*more || stream_.timed_out()) co_return false;
  }
}

}  // namespace gateway::proxy
