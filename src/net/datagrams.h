#pragma once

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <coroutine>
#include <cstddef>
#include <functional>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "net/address.h"
#include "net/listener.h"
#include "net/loop.h"

namespace gateway::net {

/// Largest payload of a UDP datagram.
inline constexpr std::size_t max_datagram_bytes = 65535;

/// Receives UDP datagrams at one place, and answers from it. One thread.
class DatagramListener {
 public:
  /// `bytes` are valid during the call. `local`: which of our addresses it was sent to.
  using Received = std::function<void(std::string_view bytes, const SocketAddress& peer, const SocketAddress& local)>;

  /// `socket` is one of ListeningSocket::open_datagram.
  DatagramListener(Loop& loop, ListeningSocket socket, Received received);

  void start();
  /// Receives no more from here on. It still sends: what is under way may be answered.
  void stop();
  /// False: the kernel did not take it. That it is lost then is what UDP promises.
  bool send(std::string_view bytes, const SocketAddress& peer, const SocketAddress& local) noexcept;

 private:
  using Descriptor = boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type>;

  void wait();
  void receive_some();

  Loop& loop_;
  SocketAddress local_;
  Descriptor socket_;
  Received received_;
  bool waiting_ = false;
  bool stopped_ = false;
};

/// A UDP socket that speaks with one peer. One thread.
class DatagramSocket {
 public:
  explicit DatagramSocket(Loop& loop) : socket_(loop.io()) {}

  /// Errors: no route there; too many files are open.
  Status connect(const SocketAddress& peer);
  [[nodiscard]] bool connected() const noexcept { return socket_.is_open(); }

  /// Errors: the peer has nobody at its port (connection_refused), the datagram is too long. One that finds no room in the
  /// kernel is lost, and no error.
  Status send(std::string_view bytes) noexcept;

  /// Receives at once. Nullopt: nothing there. Errors: connection_refused.
  Result<std::optional<std::size_t>> receive(char* into, std::size_t room) noexcept;

  /// Waits until there is something to receive, an error included; or until cancel().
  class Readable {
   public:
    explicit Readable(DatagramSocket& socket) noexcept : socket_(socket) {}
    bool await_ready() const noexcept { return socket_.cancelled_; }
    void await_suspend(std::coroutine_handle<> waiting);
    void await_resume() const noexcept {}

   private:
    DatagramSocket& socket_;
  };
  [[nodiscard]] Readable readable() noexcept { return Readable(*this); }
  /// Ends the wait, and those to come.
  void cancel() noexcept;
  [[nodiscard]] bool cancelled() const noexcept { return cancelled_; }
  /// Only when nobody waits (see Stream::finish).
  void close() noexcept;

 private:
  using Descriptor = boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type>;

  Descriptor socket_;
  bool cancelled_ = false;
};

}  // namespace gateway::net
