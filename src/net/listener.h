#pragma once

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <functional>
#include <utility>

#include "base/result.h"
#include "net/address.h"
#include "net/keep_alive.h"
#include "net/loop.h"
#include "net/stream.h"

namespace gateway::net {

/// A bound and listening socket, owned. For TCP each worker has one of its own on the same port
/// (SO_REUSEPORT); a unix socket is bound once and shared by duplicate().
class ListeningSocket {
 public:
  ListeningSocket() = default;
  ListeningSocket(ListeningSocket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  ListeningSocket& operator=(ListeningSocket&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~ListeningSocket();

  /// Errors: the address is in use, not ours, not permitted.
  static Result<ListeningSocket> open(const SocketAddress& address, int backlog, Ipv6Only ipv6_only = Ipv6Only::yes);
  /// A socket for UDP, one of several on its port. Errors: as above.
  static Result<ListeningSocket> open_datagram(const SocketAddress& address, Ipv6Only ipv6_only = Ipv6Only::yes);
  /// For the connections it will accept.
  void keep_alive(const KeepAlive& how) const noexcept;
  [[nodiscard]] Result<ListeningSocket> duplicate() const;
  [[nodiscard]] SocketAddress local_address() const;
  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
  int release() noexcept { return std::exchange(descriptor_, -1); }

 private:
  explicit ListeningSocket(int descriptor) noexcept : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

/// Accepts on one loop until stopped. A lack of descriptors or memory pauses it; it never spins or dies.
class Listener {
 public:
  /// Takes the accepted, non-blocking descriptor over.
  using Accepted = std::function<void(int descriptor, const SocketAddress& peer)>;

  Listener(Loop& loop, ListeningSocket socket, Accepted accepted);

  void start();
  /// No more connections from here on; the port is closed, soon.
  void stop();
  [[nodiscard]] const SocketAddress& local_address() const noexcept { return local_; }

 private:
  void wait();
  void accept_some();
  void pause(int error);

  using Descriptor = boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type>;
  using Timer = boost::asio::basic_waitable_timer<Steady, boost::asio::wait_traits<Steady>, boost::asio::io_context::executor_type>;

  SocketAddress local_;
  Descriptor socket_;
  Timer pause_;
  Accepted accepted_;
  bool waiting_ = false;  // for connections; a socket is not closed before that has ended (see Stream::finish)
  bool stopped_ = false;
};

}  // namespace gateway::net
