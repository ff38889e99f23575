#if defined(BOOST_ASIO_HAS_IO_URING) && defined(BOOST_ASIO_DISABLE_EPOLL)
#include "net/ring_operation.h"

#include <poll.h>

#include <boost/asio/error.hpp>

namespace gateway::net {

io_uring_sqe* Operation::begin(Kind kind, Completion then) noexcept {
  then_ = then;
  in_flight_ = true;
  kind_ = kind;
  return ring_.submit(*this);
}

void Operation::receive(void* into, std::size_t room, const Layer* /*layer*/, Completion then) noexcept {
  prepare_receive(begin(Kind::receive, then), socket_.native_handle(), into, room, 0);
}

void Operation::send(const msghdr& message, Completion then) noexcept { prepare_send(begin(Kind::send, then), socket_.native_handle(), &message, 0); }

void Operation::wait(Layer::State what, Completion then) noexcept {
  io_uring_prep_poll_add(begin(Kind::wait, then), socket_.native_handle(), what == Layer::State::wait_to_write ? POLLOUT : POLLIN);
}

void Operation::cancel() noexcept {
  if (in_flight_) ring_.cancel(*this);
}

void Operation::answered(RingWaiter& waiter, int result) {
  auto& self = static_cast<Operation&>(waiter);
  Ring& ring = self.ring_;
  boost::system::error_code error;
  std::size_t bytes = 0;
  if (result < 0) {
    error = boost::system::error_code(-result, boost::system::system_category());
  } else if (self.kind_ != Kind::wait) {  // which answers with what the socket is ready for
    bytes = static_cast<std::size_t>(result);
    if (bytes == 0 && self.kind_ == Kind::receive) error = boost::asio::error::eof;
  }
  self.in_flight_ = false;
  self.then_(error, bytes);
  ring.finished();
}

}  // namespace gateway::net
#endif
