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
  io_uring_sqe* entry = begin(Kind::receive, then);
  io_uring_prep_recv(entry, socket_.native_handle(), into, room, 0);
  // We read ahead: trying at once would find nothing nearly always, so the kernel waits first.
  if (newer_kernel.load(std::memory_order_relaxed)) entry->ioprio |= IORING_RECVSEND_POLL_FIRST;
}

void Operation::send(const msghdr& message, Completion then) noexcept {
  io_uring_sqe* entry = begin(Kind::send, then);
  // A single piece needs no message header, which the kernel must copy for as long as it waits.
  if (message.msg_iovlen == 1) {
    io_uring_prep_send(entry, socket_.native_handle(), message.msg_iov->iov_base, message.msg_iov->iov_len, MSG_NOSIGNAL);
  } else {
    io_uring_prep_sendmsg(entry, socket_.native_handle(), &message, MSG_NOSIGNAL);
  }
}

void Operation::wait(Layer::State what, Completion then) noexcept {
  io_uring_prep_poll_add(begin(Kind::wait, then), socket_.native_handle(), what == Layer::State::wait_to_write ? POLLOUT : POLLIN);
}

void Operation::cancel() noexcept {
  if (in_flight_) ring_.cancel(*this);
}

void Operation::answered(RingWaiter& waiter, int result, unsigned /*flags*/) {
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
