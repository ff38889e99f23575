#include "upstream/pool.h"

#include <algorithm>
#include <boost/asio/error.hpp>

namespace gateway::upstream {
namespace {

constexpr std::size_t input_bytes = 16384;  // a small answer arrives whole in one read
constexpr std::size_t max_tickets = 4096;

std::string ticket_key(const Destination& to) {
  std::string key(reinterpret_cast<const char*>(&to.address.storage), to.address.size);
  key.append(reinterpret_cast<const char*>(to.tls->identity().data()), to.tls->identity().size());
  return key + to.server_name;
}

Task<void> close_and_free(ConnectionPtr connection) { co_await connection->stream().finish(); }

}  // namespace

Connection::Connection(net::Loop& loop, Pool& pool, const Destination& to, Siblings& siblings)
    : pool_(pool), to_(to), siblings_(siblings), stream_(loop, input_bytes) {
  ++siblings_.all;
}

void Connection::stream_ended() { pool_.drop(*this); }

ConnectionPtr Pool::take(const Destination& to) {
  const auto found = connections_.find(to);
  if (found == connections_.end()) return nullptr;
  std::vector<ConnectionPtr>& list = found->second.idle;
  while (!list.empty()) {
    ConnectionPtr connection = std::move(list.back());
    list.pop_back();
    connection->stream_.observe(nullptr);
    connection->stream_.never_expires();
    // Bytes that nobody asked for would be taken for the next answer; and one whose time is up is being ended.
    if (connection->stream_.data().empty() && !connection->stream_.timed_out() && !connection->stream_.ended()) {
      ++connection->requests_;
      return connection;
    }
    discard(std::move(connection));
  }
  return nullptr;
}

Task<Result<ConnectionPtr>> Pool::connect(const Destination& to, std::chrono::milliseconds timeout, Speaks speaks, Dialling* dialling) {
  sweep();
  auto connection = std::make_unique<Connection>(loop_, *this, to, connections_[to]);
  net::Stream& stream = connection->stream_;
  if (dialling != nullptr) {
    if (dialling->cancelled()) co_return Error{boost::asio::error::operation_aborted, Origin::upstream, "connecting to " + to.address.to_string()};
    dialling->begin(&stream, [](void* under_way) noexcept { static_cast<net::Stream*>(under_way)->cancel(); });
  }
  stream.expires_after(timeout);
  Status connected = co_await stream.connect(connection->to_.address);
  bool shaking = false;
  if (connected && to.tls) {
    shaking = true;
    stream.expires_after(timeout);
    connected = co_await shake_hands(*connection, speaks);
  }
  stream.never_expires();
  if (dialling != nullptr) dialling->over();
  if (!connected) {
    Error error = connected.error();
    error.origin = Origin::upstream;
    error.doing = (shaking ? "opening TLS with " : "connecting to ") + to.address.to_string();
    if (stream.timed_out()) error.code = boost::asio::error::timed_out;
    discard(std::move(connection));
    co_return error;
  }
  connection->requests_ = 1;
  co_return connection;
}

Task<Status> Pool::shake_hands(Connection& connection, Speaks speaks) {
  const Destination& to = connection.to_;
  const auto ticket = tickets_.find(ticket_key(to));
  SSL_SESSION* previous = ticket == tickets_.end() ? nullptr : ticket->second.get();
  std::unique_ptr<tls::Session> session = to.tls->connect(connection.stream_.socket().native_handle(), to.server_name, speaks == Speaks::http2, previous);
  net::Stream::Open opening = connection.stream_.open(std::move(session));
  Status opened = co_await opening;
  // Perhaps it was the ticket that the peer did not like: the next one comes without.
  if (!opened) tickets_.erase(ticket_key(to));
  co_return opened;
}

// What the peer has sent to resume with: of TLS 1.3 it comes after the handshake.
void Pool::keep_ticket(Connection& connection) {
  auto* session = static_cast<tls::Session*>(connection.stream_.layer());
  if (session == nullptr) return;
  tls::TicketPtr ticket = session->take_ticket();
  if (!ticket) return;
  if (tickets_.size() >= max_tickets) tickets_.clear();
  tickets_[ticket_key(connection.to_)] = std::move(ticket);
}

// Peers and contexts of the past leave their places behind. Those of the present do as well, and are filled again at once:
// hence not each time.
void Pool::sweep() {
  constexpr std::size_t fewest = 64;
  if (connections_.size() < sweep_at_) return;
  std::erase_if(connections_, [](const auto& each) { return each.second.all == 0; });
  sweep_at_ = std::max(fewest, 2 * connections_.size());
}

void Pool::give_back(ConnectionPtr connection) {
  net::Stream& stream = connection->stream_;
  const bool worn_out = limits_.requests != 0 && connection->requests_ >= limits_.requests;
  std::vector<ConnectionPtr>& list = connection->siblings_.idle;
  if (worn_out || stream.ended() || stream.timed_out() || !stream.data().empty() || list.size() >= limits_.idle_per_peer) {
    return discard(std::move(connection));
  }
  if (limits_.idle.count() > 0) {
    stream.expires_after(limits_.idle);
  } else {
    stream.never_expires();
  }
  keep_ticket(*connection);
  stream.observe(connection.get());
  stream.allow_multishot();
  stream.read_ahead();
  list.push_back(std::move(connection));
}

void Pool::discard(ConnectionPtr connection) {
  if (!connection) return;
  // Most of all those who keep no connections have to shake hands again.
  connection->pool_.keep_ticket(*connection);
  spawn(close_and_free(std::move(connection)));
}

void Pool::drop(Connection& idle) {
  std::vector<ConnectionPtr>& list = idle.siblings_.idle;
  const auto at = std::find_if(list.begin(), list.end(), [&](const ConnectionPtr& other) { return other.get() == &idle; });
  if (at == list.end()) return;
  ConnectionPtr connection = std::move(*at);
  list.erase(at);
  discard(std::move(connection));
}

void Pool::clear() {
  for (auto& [to, siblings] : connections_) {
    for (ConnectionPtr& connection : std::exchange(siblings.idle, {})) discard(std::move(connection));
  }
}

}  // namespace gateway::upstream
