#include "proxy/stream/udp_session.h"

#include <algorithm>
#include <boost/asio/error.hpp>

#include "base/log.h"
#include "proxy/stream/server.h"

namespace gateway::proxy::stream {
namespace {

// Answers to what was asked before; new datagrams of the client go to whoever listens now.
constexpr std::chrono::milliseconds drain_grace{5000};

// A burst must not starve the others on this loop.
constexpr int answers_per_wakeup = 64;

}  // namespace

UdpSession::UdpSession(Server& server, const Host& host, net::DatagramListener& listener, const net::SocketAddress& peer, Session session)
    : server_(server),
      host_(host),
      listener_(listener),
      peer_(peer),
      session_(std::move(session)),
      socket_(host.loop),
      idle_(session_.service->service.read_timeout),
      deadline_(
          host.loop.deadlines(), [](void* self) { static_cast<UdpSession*>(self)->end(); }, this) {
  deadline_.set(idle_);
}

void UdpSession::end() noexcept {
  over_ = true;
  socket_.cancel();
}

void UdpSession::drain() noexcept {
  idle_ = std::min(idle_, drain_grace);
  deadline_.set(idle_);
}

Task<void> UdpSession::serve() {
  co_await carry();
  deadline_.clear();
  session_.record(server_.log(), host_);
  socket_.close();
  server_.remove(*this);
}

Task<void> UdpSession::carry() {
  const bool connected = co_await connect();
  if (!connected) co_return;
  session_.status = status_ok;
  for (const std::string& each : waiting_) {
    if (!send(each)) co_return;
  }
  waiting_.clear();
  while (!over_ && bring_answers()) co_await socket_.readable();
}

Task<bool> UdpSession::connect() {
  const entity::Service& service = session_.service->service;
  peers_.emplace(host_, session_);
  session_.status = status_bad_upstream;
  for (unsigned left = service.retries + 1; left > 0 && !over_; --left) {
    const Steady::time_point asked = Steady::now();
    const Result<net::SocketAddress> peer = co_await peers_->next();
    if (over_) co_return false;
    if (!peer) {
      if (session_.tries.empty()) session_.status = peers_->status_of(peer.error());
      log::error("{}, for datagrams from {} to {}", peer.error().to_string(), session_.client_ip, service.host);
      co_return false;
    }
    session_.note_try(*peer, std::chrono::duration_cast<std::chrono::microseconds>(Steady::now() - asked));
    const Status connected = socket_.connect(*peer);
    if (connected) co_return true;
    session_.try_failed(connected.error());
    peers_->failed(connected.error());
    log::error("{}, for datagrams from {} to {}", connected.error().to_string(), session_.client_ip, peer->to_string());
    if (Peers::is_our_own(connected.error())) break;
  }
  co_return false;
}

void UdpSession::receive(std::string_view bytes) {
  if (over_) return;
  session_.received += bytes.size();
  deadline_.set(idle_);
  if (socket_.connected() && waiting_.empty()) {
    if (!send(bytes)) end();
    return;
  }
  if (waiting_.size() >= max_waiting || waiting_bytes_ + bytes.size() > max_waiting_bytes) return;
  waiting_.emplace_back(bytes);
  waiting_bytes_ += bytes.size();
}

void UdpSession::lost(const Error& error) {
  if (session_.sent == 0) {
    session_.status = status_bad_upstream;
    session_.try_failed(error);
  }
  peers_->failed(error);
  log::error("{}: {}, for datagrams from {}", session_.upstream()->to_string(), error.to_string(), session_.client_ip);
}

// False: there is nobody.
bool UdpSession::send(std::string_view bytes) {
  const Status sent = socket_.send(bytes);
  if (sent || sent.error().code == boost::system::errc::message_size) return true;
  lost(sent.error());
  return false;
}

// False: there is nobody.
bool UdpSession::bring_answers() {
  const net::Block block = host_.loop.blocks().take(net::max_datagram_bytes);
  for (int i = 0; i < answers_per_wakeup; ++i) {
    const Result<std::optional<std::size_t>> got = socket_.receive(block.data(), block.size());
    if (!got) {
      lost(got.error());
      return false;
    }
    if (!*got) return true;
    if (session_.sent == 0) peers_->connected();
    session_.sent += **got;
    deadline_.set(idle_);
    listener_.send({block.data(), **got}, peer_, session_.local);
  }
  return true;
}

}  // namespace gateway::proxy::stream
