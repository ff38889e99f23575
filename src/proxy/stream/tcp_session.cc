#include "proxy/stream/tcp_session.h"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include "base/log.h"
#include "net/proxy_protocol.h"
#include "proxy/stream/duplex.h"
#include "proxy/stream/server.h"
#include "tls/client_hello.h"

namespace gateway::proxy::stream {
namespace {

constexpr std::chrono::milliseconds drain_grace{1000};

// Room for more of what is being read, up to `longest` in all. False: it is longer.
bool make_room(net::Stream& stream, std::size_t longest) {
  const std::size_t held = stream.data().size();
  if (held >= longest) return false;
  if (held >= Duplex::small_block) stream.reserve(std::min(std::max(2 * held, std::size_t{2} * Duplex::small_block), longest));
  return true;
}

bool is_trusted(const net::SocketAddress& peer, const Options& options) {
  if (peer.family() == AF_UNIX) return options.trust_unix;
  const std::optional<net::IpAddress> ip = net::IpAddress::from(peer);
  return ip && options.trusted.contains(*ip);
}

// Client and service speak TLS with each other: every byte is theirs.
bool passes_through(const Session& session) { return (session.route->protocols & entity::bit(entity::Protocol::tls_passthrough)) != 0; }

}  // namespace

TcpSession::TcpSession(Server& server, const Host& host, int descriptor, const net::SocketAddress& peer, const Listening& at)
    : server_(server),
      host_(host),
      at_(at),
      session_(host, at.tls ? Session::Transport::tls : Session::Transport::tcp, peer, at.local),
      client_(host.loop, Duplex::small_block) {
  boost::system::error_code ignored;
  client_.socket().assign(boost::asio::generic::stream_protocol(at.local.family(), at.local.family() == AF_UNIX ? 0 : IPPROTO_TCP), descriptor, ignored);
  // At a wildcard address: which of ours it is.
  session_.local.size = sizeof session_.local.storage;
  ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&session_.local.storage), &session_.local.size);
  client_.write_timeout(host.options.send_timeout);
}

void TcpSession::drain() noexcept {
  if (opening_) client_.expires_after(drain_grace);
}

void TcpSession::abort() noexcept {
  aborted_ = true;
  client_.cancel();
  if (upstream_) upstream_->cancel();
}

Task<void> TcpSession::serve() {
  co_await carry();
  session_.record(server_.log(), host_);
  if (upstream_) co_await upstream_->finish();
  co_await client_.finish();
  server_.remove(*this);
}

Task<void> TcpSession::carry() {
  client_.expires_after(host_.options.head_timeout);
  session_.status = status_bad_client;
  if (at_.proxy_protocol) {
    const bool read = co_await read_proxy_header();
    if (!read) co_return;
  }
  if (at_.tls) {
    const bool greeted = co_await read_greeting();
    if (!greeted) co_return;
  }
  if (!session_.find_route(host_)) co_return;
  if (at_.tls && !passes_through(session_)) {
    const bool agreed = co_await shake_hands();
    if (!agreed) co_return;
  }
  opening_ = false;
  client_.never_expires();
  const bool admitted = co_await admit();
  if (!admitted || !session_.has_service()) co_return;
  const bool connected = co_await connect();
  if (!connected) co_return;
  session_.status = status_ok;
  const entity::Service& service = session_.service->service;
  upstream_->write_timeout(service.write_timeout);
  Duplex both(host_.loop, client_, *upstream_, service.read_timeout);
  co_await both.run(session_.received, session_.sent);
}

// Source: HAProxy, proxy-protocol.txt: a listener that expects the header takes nothing without it.
Task<bool> TcpSession::read_proxy_header() {
  for (;;) {
    const net::ProxyHeader header = net::parse_proxy_header(client_.data());
    if (header.state == net::ProxyHeader::State::complete) {
      client_.consume(header.size);
      net::SocketAddress peer;
      peer.size = sizeof peer.storage;
      ::getpeername(client_.socket().native_handle(), reinterpret_cast<sockaddr*>(&peer.storage), &peer.size);
      if (header.source && is_trusted(peer, host_.options)) session_.speak_for(*header.source);
      co_return true;
    }
    if (header.state == net::ProxyHeader::State::malformed || !make_room(client_, net::max_proxy_header_bytes)) {
      log::info("closed a stream from {}: no PROXY protocol header at its beginning", session_.client_ip);
      co_return false;
    }
    const Result<bool> more = co_await client_.more();
    if (!more || !*more) co_return false;
  }
}

// Reads what the client says first, and leaves it where it is: who answers it, the route decides.
Task<bool> TcpSession::read_greeting() {
  for (;;) {
    tls::ClientHello hello = tls::parse_client_hello(client_.data());
    if (hello.state == tls::ClientHello::State::complete) {
      session_.sni = std::move(hello.server_name);
      co_return true;
    }
    if (hello.state == tls::ClientHello::State::malformed || !make_room(client_, tls::max_client_hello_bytes)) {
      log::info("closed a stream from {}: it begins with no ClientHello", session_.client_ip);
      co_return false;
    }
    const Result<bool> more = co_await client_.more();
    if (more && *more) continue;
    if (client_.timed_out()) log::info("closed a stream from {}: its ClientHello did not come in time", session_.client_ip);
    co_return false;
  }
}

Task<bool> TcpSession::shake_hands() {
  std::unique_ptr<tls::Session> session = host_.tls->accept(client_.socket().native_handle(), false);
  session->speak_anything();
  session->begin_with(client_.data());
  client_.consume(client_.data().size());
  client_.release_block();
  net::Stream::Open opening = client_.open(std::move(session));
  const Status agreed = co_await opening;
  if (!agreed) {
    log::info("no TLS with {}: {}", session_.client_ip, agreed.error().code.message());
    co_return false;
  }
  const auto& layer = static_cast<const tls::Session&>(*client_.layer());
  session_.tls_version = layer.version();
  session_.tls_cipher = layer.cipher();
  co_return true;
}

Task<bool> TcpSession::admit() {
  const std::optional<plugin::Refusal> refusal = session_.preread(host_);
  if (!refusal) co_return true;
  if (refusal->status >= 400 || refusal->text.empty()) co_return false;
  const Status told = co_await client_.write(refusal->text);
  if (told) session_.sent += refusal->text.size();
  co_return false;
}

Task<bool> TcpSession::connect() {
  const entity::Service& service = session_.service->service;
  peers_.emplace(host_, session_);
  session_.status = status_bad_upstream;
  for (unsigned left = service.retries + 1; left > 0 && !aborted_; --left) {
    const Steady::time_point asked = Steady::now();
    const Result<net::SocketAddress> peer = co_await peers_->next();
    if (!peer) {
      // A try before this one told already what is wrong.
      if (session_.tries.empty()) session_.status = peers_->status_of(peer.error());
      log::error("{}, for a stream from {} to {}", peer.error().to_string(), session_.client_ip, service.host);
      co_return false;
    }
    if (aborted_) co_return false;
    session_.note_try(*peer, std::chrono::duration_cast<std::chrono::microseconds>(Steady::now() - asked));
    const Status connected = co_await try_peer(*peer);
    if (connected) {
      peers_->connected();
      co_return !aborted_;
    }
    session_.try_failed(connected.error());
    if (aborted_) co_return false;
    peers_->failed(connected.error());
    log::error("{}, for a stream from {} to {}", connected.error().to_string(), session_.client_ip, service.host);
    co_await upstream_->finish();
    if (Peers::is_our_own(connected.error())) break;
  }
  co_return false;
}

Task<Status> TcpSession::try_peer(const net::SocketAddress& peer) {
  const snapshot::Upstream& service = *session_.service;
  upstream_ = std::make_unique<net::Stream>(host_.loop, Duplex::small_block);
  upstream_->expires_after(service.service.connect_timeout);
  Status connected = co_await upstream_->connect(peer);
  const char* doing = "connecting to ";
  if (connected && service.tls && !passes_through(session_)) {
    doing = "opening TLS with ";
    upstream_->expires_after(service.service.connect_timeout);
    std::unique_ptr<tls::Session> session = service.tls->connect(upstream_->socket().native_handle(), peers_->server_name(), false, nullptr);
    session->speak_anything();
    net::Stream::Open opening = upstream_->open(std::move(session));
    connected = co_await opening;
  }
  upstream_->never_expires();
  if (connected) co_return connected;
  Error error = connected.error();
  error.doing = doing + peer.to_string();
  if (upstream_->timed_out()) error.code = boost::asio::error::timed_out;
  co_return error;
}

}  // namespace gateway::proxy::stream
