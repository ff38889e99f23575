#pragma once

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/buffer.hpp>
#include <cerrno>

#include "net/layer.h"
#include "net/loop.h"
#include "net/system_call.h"

namespace gateway::net {

/// A buffer to read into that tells Asio's epoll reactor when a socket has been read empty.
///
/// Asio tries every read at once, and only then waits. Reading ahead, as our streams do, that first try finds
/// nothing nearly always: one wasted system call per read. The kernel tells with the data how much more there is
/// (TCP_INQ; one, when only the end of the stream is left), so that the next try can be saved, and no end is missed. A
/// reset is: whoever reads by these must look for one (Stream::look_for_reset).
/// Where it does not tell (unix sockets), nothing is saved. The io_uring back end has no such try.
/// A layer (TLS) reads for itself, and tells the same.
class HintedBuffer {
 public:
  using value_type = boost::asio::mutable_buffer;
  using const_iterator = const boost::asio::mutable_buffer*;

  HintedBuffer(void* data, std::size_t size, Layer* layer) noexcept : buffer_(data, size), layer_(layer) {}
  [[nodiscard]] const_iterator begin() const noexcept { return &buffer_; }
  [[nodiscard]] const_iterator end() const noexcept { return &buffer_ + 1; }

  [[nodiscard]] Layer* layer() const noexcept { return layer_; }

 private:
  boost::asio::mutable_buffer buffer_;
  Layer* layer_;
};

/// Asks for the hint on a TCP socket, or on those a listening one will accept.
inline void ask_for_hints(int descriptor) noexcept {
  const int on = 1;
  (void)::setsockopt(descriptor, IPPROTO_TCP, TCP_INQ, &on, sizeof on);
}

}  // namespace gateway::net

#if !defined(BOOST_ASIO_HAS_IO_URING) || !defined(BOOST_ASIO_DISABLE_EPOLL)

// The read operation of Asio 1.81 for this kind of buffer: the one place where it can be said that a socket is
// exhausted after a read that did return data.
template <>
class boost::asio::detail::reactive_socket_recv_op_base<gateway::net::HintedBuffer> : public reactor_op {
 public:
  reactive_socket_recv_op_base(const boost::system::error_code& success, socket_type socket, socket_ops::state_type, const gateway::net::HintedBuffer& buffer,
                               socket_base::message_flags flags, func_type complete)
      : reactor_op(success, &reactive_socket_recv_op_base::do_perform, complete),
        socket_(socket),
        buffer_(*buffer.begin()),
        layer_(buffer.layer()),
        flags_(flags) {}

  static status do_perform(reactor_op* base) {
    auto* self = static_cast<reactive_socket_recv_op_base*>(base);
    if (self->layer_ != nullptr) return self->read_through_layer();
    int left = 0;
    const ssize_t bytes = gateway::net::receive_now(self->socket_, self->buffer_.data(), self->buffer_.size(), self->flags_, left);
    if (bytes < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return not_done;
      self->ec_ = boost::system::error_code(errno, boost::system::system_category());
      self->bytes_transferred_ = 0;
      return done;
    }
    self->bytes_transferred_ = static_cast<std::size_t>(bytes);
    if (bytes == 0) {
      self->ec_ = boost::asio::error::eof;
      return done_and_exhausted;
    }
    return left == 0 ? done_and_exhausted : done;
  }

 private:
  status read_through_layer() noexcept {
    using State = gateway::net::Layer::State;
    const gateway::net::Layer::Moved moved = layer_->read(static_cast<char*>(buffer_.data()), buffer_.size());
    bytes_transferred_ = moved.bytes;
    switch (moved.state) {
      case State::moved: return moved.drained ? done_and_exhausted : done;
      case State::ended: ec_ = boost::asio::error::eof; return done;
      case State::failed: ec_ = layer_->error(); return done;
      case State::wait_to_read:
      case State::wait_to_write: break;  // the next write sends what the layer has to say for itself
    }
    return not_done;
  }

  socket_type socket_;
  boost::asio::mutable_buffer buffer_;
  gateway::net::Layer* layer_;
  socket_base::message_flags flags_;
};

#endif
