#include "upstream/pool.h"

#include <algorithm>
#include <boost/asio/error.hpp>

namespace gateway::upstream {
namespace {

constexpr std::size_t input_bytes = 16384;  // a small answer arrives whole in one read

Task<void> close_and_free(ConnectionPtr connection) { co_await connection->stream().finish(); }

}  // namespace

Connection::Connection(net::Loop& loop, Pool& pool, const net::SocketAddress& peer) : pool_(pool), peer_(peer), stream_(loop, input_bytes) {}

void Connection::stream_ended() { pool_.drop(*this); }

ConnectionPtr Pool::take(const net::SocketAddress& peer) {
  const auto found = idle_.find(peer);
  if (found == idle_.end()) return nullptr;
  std::vector<ConnectionPtr>& list = found->second;
  while (!list.empty()) {
    ConnectionPtr connection = std::move(list.back());
    list.pop_back();
    connection->stream_.observe(nullptr);
    connection->stream_.never_expires();
    // Bytes that nobody asked for would be taken for the next answer; and one whose time is up is being ended.
    if (connection->stream_.data().empty() && !connection->stream_.timed_out()) {
      ++connection->requests_;
      return connection;
    }
    discard(std::move(connection));
  }
  return nullptr;
}

Task<Result<ConnectionPtr>> Pool::connect(const net::SocketAddress& peer, std::chrono::milliseconds timeout) {
  auto connection = std::make_unique<Connection>(loop_, *this, peer);
  net::Stream& stream = connection->stream_;
  stream.expires_after(timeout);
  const Status connected = co_await stream.connect(connection->peer_);
  stream.never_expires();
  if (!connected) {
    Error error = connected.error();
    error.origin = Origin::upstream;
    error.doing = "connecting to " + peer.to_string();
    if (stream.timed_out()) error.code = boost::asio::error::timed_out;
    co_return error;
  }
  connection->requests_ = 1;
  co_return connection;
}

void Pool::give_back(ConnectionPtr connection) {
  net::Stream& stream = connection->stream_;
  const bool worn_out = limits_.requests != 0 && connection->requests_ >= limits_.requests;
  std::vector<ConnectionPtr>& list = idle_[connection->peer_];
  if (worn_out || stream.ended() || stream.timed_out() || !stream.data().empty() || list.size() >= limits_.idle_per_peer) {
    return discard(std::move(connection));
  }
  if (limits_.idle.count() > 0) {
    stream.expires_after(limits_.idle);
  } else {
    stream.never_expires();
  }
  stream.observe(connection.get());
  stream.read_ahead();
  list.push_back(std::move(connection));
}

void Pool::discard(ConnectionPtr connection) {
  if (connection) spawn(close_and_free(std::move(connection)));
}

void Pool::drop(Connection& idle) {
  const auto found = idle_.find(idle.peer_);
  if (found == idle_.end()) return;
  std::vector<ConnectionPtr>& list = found->second;
  const auto at = std::find_if(list.begin(), list.end(), [&](const ConnectionPtr& other) { return other.get() == &idle; });
  if (at == list.end()) return;
  ConnectionPtr connection = std::move(*at);
  list.erase(at);
  if (list.empty()) idle_.erase(found);
  discard(std::move(connection));
}

void Pool::clear() {
  for (auto& [peer, list] : std::exchange(idle_, {})) {
    for (ConnectionPtr& connection : list) discard(std::move(connection));
  }
}

}  // namespace gateway::upstream
