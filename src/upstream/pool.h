#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "net/address.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/undertaking.h"
#include "tls/client_context.h"

namespace gateway::upstream {

class Pool;

/// What a connection is for: over TLS, that and nothing else is offered.
enum class Speaks { http1, http2 };

/// Where a connection leads, and under which trust: everything that decides whether one may stand for another.
struct Destination {
  net::SocketAddress address;
  std::shared_ptr<const tls::ClientContext> tls;  ///< null: clear text
  std::string server_name;                        ///< with TLS: what is asked for and, where it is verified, has to answer

  friend bool operator==(const Destination& a, const Destination& b) noexcept {
    if (!(a.address == b.address) || (a.tls == nullptr) != (b.tls == nullptr)) return false;
    return a.tls == nullptr || (a.tls->identity() == b.tls->identity() && a.server_name == b.server_name);
  }
};

struct DestinationHash {
  std::size_t operator()(const Destination& to) const noexcept {
    const std::size_t address = net::SocketAddressHash{}(to.address);
    return to.tls == nullptr ? address : address ^ std::hash<std::string_view>{}(to.server_name) ^ to.tls->identity()[0];
  }
};

class Connection;
using ConnectionPtr = std::unique_ptr<Connection>;

/// All connections that lead to one destination.
struct Siblings {
  std::size_t all = 0;  ///< idle or busy
  std::vector<ConnectionPtr> idle;
};

/// A connection to a peer. Busy: owned by one request. Idle: owned by the pool.
class Connection final : net::Stream::Observer {
 public:
  /// `siblings`: of the same pool, which keeps them as long as there is one.
  Connection(net::Loop& loop, Pool& pool, const Destination& to, Siblings& siblings);
  ~Connection() { --siblings_.all; }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  [[nodiscard]] net::Stream& stream() noexcept { return stream_; }
  [[nodiscard]] const net::SocketAddress& peer() const noexcept { return to_.address; }
  /// It has served a request before: a reset may then just mean that it was closed while idle.
  [[nodiscard]] bool reused() const noexcept { return requests_ > 1; }

 private:
  friend class Pool;
  void stream_ended() override;

  Pool& pool_;
  Destination to_;
  Siblings& siblings_;
  net::Stream stream_;
  unsigned requests_ = 0;
};

/// A connection being made.
using Dialling = net::Undertaking;

/// One worker's kept-alive connections to peers. Idle ones are watched: a peer that closes, or speaks out
/// of turn, is dropped at once.
class Pool {
 public:
  struct Limits {
    std::size_t idle_per_peer = 512;        ///< upstream_keepalive_pool_size; 0: none is kept
    unsigned requests = 10000;              ///< per connection; 0: no limit
    std::chrono::milliseconds idle{60000};  ///< zero: for ever
  };

  Pool(net::Loop& loop, const Limits& limits) : loop_(loop), limits_(limits) {}

  /// An idle connection, the one used last; null when there is none.
  ConnectionPtr take(const Destination& to);
  /// `timeout`: for the connection, and again for the handshake of TLS. `dialling` (may be null) lives as long as the task.
  /// Errors: refused, unreachable, timed_out, operation_aborted, a handshake that failed.
  Task<Result<ConnectionPtr>> connect(const Destination& to, std::chrono::milliseconds timeout, Speaks speaks = Speaks::http1, Dialling* dialling = nullptr);
  /// After a complete answer on a connection that may be kept.
  void give_back(ConnectionPtr connection);
  /// Closes a connection that is of no more use. Safe whatever is in flight on it.
  static void discard(ConnectionPtr connection);
  /// Closes all idle ones.
  void clear();

 private:
  friend class Connection;
  void drop(Connection& idle);
  Task<Status> shake_hands(Connection& connection, Speaks speaks);
  void keep_ticket(Connection& connection);
  void sweep();

  net::Loop& loop_;
  Limits limits_;
  std::unordered_map<Destination, Siblings, DestinationHash> connections_;
  std::size_t sweep_at_ = 64;  // so many destinations
  // To resume TLS with, by all that a Destination says but without its context, which may be of the past; bounded.
  std::unordered_map<std::string, tls::TicketPtr> tickets_;
};

}  // namespace gateway::upstream
