#include "proxy/stream/server.h"

#include <unistd.h>

#include "base/log.h"

namespace gateway::proxy::stream {
namespace {

// A flood must not become one of the log.
constexpr std::chrono::seconds between_complaints{10};

Task<void> serve(TcpSession& session) { co_await session.serve(); }
Task<void> serve(UdpSession& session) { co_await session.serve(); }

}  // namespace

Server::Server(Host host, telemetry::LogFile& log) : host_(std::move(host)), log_(log) {
  host_.loop.every_second([this] { log_.flush(); });
}

Server::~Server() = default;

void Server::listen(net::ListeningSocket socket, const Listening& how) {
  Listening& at = places_.emplace_back(how);
  at.local = socket.local_address();
  if (!how.udp) {
    listeners_.push_back(std::make_unique<net::Listener>(host_.loop, std::move(socket),
                                                         [this, &at](int descriptor, const net::SocketAddress& peer) { accepted(descriptor, peer, at); }));
    return;
  }
  const std::size_t place = datagram_listeners_.size();
  datagram_listeners_.push_back(std::make_unique<net::DatagramListener>(
      host_.loop, std::move(socket), [this, place](std::string_view bytes, const net::SocketAddress& peer, const net::SocketAddress& local) {
        received(bytes, peer, local, *datagram_listeners_[place]);
      }));
}

void Server::start() {
  for (const auto& listener : listeners_) listener->start();
  for (const auto& listener : datagram_listeners_) listener->start();
}

bool Server::is_full(std::size_t sessions) {
  if (sessions < host_.options.max_connections) return false;
  const Steady::time_point now = Steady::now();
  if (now - told_full_ > between_complaints) {
    log::error("{} streams are open: new ones are refused until some end", sessions);
    told_full_ = now;
  }
  return true;
}

void Server::accepted(int descriptor, const net::SocketAddress& peer, const Listening& at) {
  if (is_full(connections_.size())) {
    ::close(descriptor);
    return;
  }
  auto session = std::make_unique<TcpSession>(*this, host_, descriptor, peer, at);
  session->place_ = connections_.size();
  TcpSession& serving = *session;
  connections_.push_back(std::move(session));
  host_.statistics.active.add(1);
  spawn(serve(serving));
}

// Whether a datagram may begin a session.
bool Server::admit(Session& session, net::DatagramListener& listener, const net::SocketAddress& peer) {
  if (!session.find_route(host_)) return false;
  const std::optional<plugin::Refusal> refusal = session.preread(host_);
  if (!refusal) return session.has_service();
  if (refusal->status < 400 && !refusal->text.empty()) {
    listener.send(refusal->text, peer, session.local);
    session.sent = refusal->text.size();
  }
  return false;
}

void Server::received(std::string_view bytes, const net::SocketAddress& peer, const net::SocketAddress& local, net::DatagramListener& listener) {
  const Pair pair{peer, local};
  if (const auto found = datagrams_.find(pair); found != datagrams_.end()) return found->second->receive(bytes);
  if (is_full(datagrams_.size())) return;
  Session session(host_, Session::Transport::udp, peer, local);
  if (!admit(session, listener, peer)) {
    session.received = bytes.size();
    return session.record(log_, host_);
  }
  const auto made = datagrams_.emplace(pair, std::make_unique<UdpSession>(*this, host_, listener, peer, std::move(session))).first;
  host_.statistics.active.add(1);
  UdpSession& serving = *made->second;
  serving.receive(bytes);
  spawn(serve(serving));
}

template <class Ended>
void Server::free_later(std::unique_ptr<Ended> session) noexcept {
  host_.statistics.active.add(-1);
  ++leaving_;
  // Its own coroutine is still running on it.
  std::shared_ptr<Ended> ended(std::move(session));
  host_.loop.post([this, ended = std::move(ended)]() mutable {
    ended.reset();
    --leaving_;
    host_.ended();
  });
}

void Server::remove(TcpSession& session) noexcept {
  const std::size_t place = session.place_;
  std::unique_ptr<TcpSession> ended = std::move(connections_[place]);
  if (place + 1 != connections_.size()) {
    connections_[place] = std::move(connections_.back());
    connections_[place]->place_ = place;
  }
  connections_.pop_back();
  free_later(std::move(ended));
}

void Server::remove(UdpSession& session) noexcept {
  const auto found = datagrams_.find(Pair{session.peer_, session.session_.local});
  std::unique_ptr<UdpSession> ended = std::move(found->second);
  datagrams_.erase(found);
  free_later(std::move(ended));
}

void Server::drain() {
  for (const auto& listener : listeners_) listener->stop();
  for (const auto& listener : datagram_listeners_) listener->stop();
  for (const auto& session : connections_) session->drain();
  for (const auto& [pair, session] : datagrams_) session->drain();
}

void Server::abort() {
  for (const auto& listener : listeners_) listener->stop();
  for (const auto& listener : datagram_listeners_) listener->stop();
  // Whatever ends at once leaves the lists meanwhile.
  std::vector<TcpSession*> connections;
  for (const auto& session : connections_) connections.push_back(session.get());
  for (TcpSession* session : connections) session->abort();
  std::vector<UdpSession*> datagrams;
  for (const auto& [pair, session] : datagrams_) datagrams.push_back(session.get());
  for (UdpSession* session : datagrams) session->abort();
}

}  // namespace gateway::proxy::stream
