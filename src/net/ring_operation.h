#pragma once

#include <sys/socket.h>

#include "net/asio_ring.h"
#include "net/completion.h"
#include "net/layer.h"
#include "net/loop.h"

namespace gateway::net {

/// One thing at a time that a stream waits for, by the loop's io_uring; without Asio, whose objects, queues and handlers
/// would come between.
class Operation : private RingWaiter {
 public:
  Operation(Loop& loop, StreamSocket& socket) noexcept : RingWaiter{&Operation::answered}, ring_(loop.ring()), socket_(socket) {}
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  /// Waits for something to read, and reads it. Errors: network, eof, operation_aborted. A layer reads for itself: for that, wait().
  void receive(void* into, std::size_t room, const Layer* layer, Completion then) noexcept;
  /// Writes what the socket takes of the message, which must live until then.
  void send(const msghdr& message, Completion then) noexcept;
  /// Waits until the socket has something to read, or room for what is written.
  void wait(Layer::State what, Completion then) noexcept;
  /// Ends it with operation_aborted, unless it has just ended.
  void cancel() noexcept;

 private:
  enum class Kind : char { receive, send, wait };

  io_uring_sqe* begin(Kind kind, Completion then) noexcept;
  static void answered(RingWaiter& waiter, int result, unsigned flags);

  Ring& ring_;
  StreamSocket& socket_;
  Completion then_;
  bool in_flight_ = false;
  Kind kind_ = Kind::wait;
};

}  // namespace gateway::net
