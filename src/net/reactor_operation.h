#pragma once

#include <sys/socket.h>

#include "net/completion.h"
#include "net/hinted_read.h"
#include "net/layer.h"
#include "net/loop.h"

namespace gateway::net {

/// One thing at a time that a stream waits for, by Asio's reactor (epoll).
class Operation {
 public:
  Operation(Loop& /*loop*/, StreamSocket& socket) noexcept : socket_(socket) {}

  /// Reads what there is, or waits for it; through the layer, if there is one. Errors: network, eof, operation_aborted.
  void receive(void* into, std::size_t room, Layer* layer, Completion then) { socket_.async_read_some(HintedBuffer(into, room, layer), then); }
  /// Waits for room, and leaves the writing, from the message or otherwise, to the one who is told.
  void send(const msghdr& /*message*/, Completion then) { wait(Layer::State::wait_to_write, then); }
  /// Waits until the socket has something to read, or room for what is written.
  void wait(Layer::State what, Completion then) {
    socket_.async_wait(what == Layer::State::wait_to_write ? StreamSocket::wait_write : StreamSocket::wait_read,
                       [then](const boost::system::error_code& error) { then(error, 0); });
  }
  /// Ends it, and everything else that waits for this socket, with operation_aborted.
  void cancel() noexcept {
    boost::system::error_code ignored;
    socket_.cancel(ignored);
  }

 private:
  StreamSocket& socket_;
};

/// What a stream reads by. Here nothing arrives that nobody reads.
class Receiver : public Operation {
 public:
  using Operation::Operation;
  void allow_multishot() noexcept {}
  std::size_t take(char* /*into*/, std::size_t /*room*/) noexcept { return 0; }
  /// Of a reset right behind what was read, it does not tell.
  [[nodiscard]] bool misses_resets() const noexcept { return true; }
  [[nodiscard]] bool quiet() const noexcept { return true; }
  void let_go(Completion /*then*/) noexcept {}
};

}  // namespace gateway::net
