#pragma once

#include <chrono>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "net/address.h"
#include "net/loop.h"
#include "net/stream.h"

namespace gateway::upstream {

class Pool;

/// A connection to a peer. Busy: owned by one request. Idle: owned by the pool.
class Connection final : net::Stream::Observer {
 public:
  Connection(net::Loop& loop, Pool& pool, const net::SocketAddress& peer);

  [[nodiscard]] net::Stream& stream() noexcept { return stream_; }
  [[nodiscard]] const net::SocketAddress& peer() const noexcept { return peer_; }
  /// It has served a request before: a reset may then just mean that it was closed while idle.
  [[nodiscard]] bool reused() const noexcept { return requests_ > 1; }

 private:
  friend class Pool;
  void stream_ended() override;

  Pool& pool_;
  net::SocketAddress peer_;
  net::Stream stream_;
  unsigned requests_ = 0;
};

using ConnectionPtr = std::unique_ptr<Connection>;

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
  ConnectionPtr take(const net::SocketAddress& peer);
  /// Errors: refused, unreachable, timed_out.
  Task<Result<ConnectionPtr>> connect(const net::SocketAddress& peer, std::chrono::milliseconds timeout);
  /// After a complete answer on a connection that may be kept.
  void give_back(ConnectionPtr connection);
  /// Closes a connection that is of no more use. Safe whatever is in flight on it.
  static void discard(ConnectionPtr connection);
  /// Closes all idle ones.
  void clear();

 private:
  friend class Connection;
  void drop(Connection& idle);

  net::Loop& loop_;
  Limits limits_;
  std::unordered_map<net::SocketAddress, std::vector<ConnectionPtr>, net::SocketAddressHash> idle_;
};

}  // namespace gateway::upstream
