#if defined(BOOST_ASIO_HAS_IO_URING) && defined(BOOST_ASIO_DISABLE_EPOLL)
#include "net/ring_receiver.h"

#include <sys/socket.h>

#include <boost/asio/error.hpp>
#include <cerrno>
#include <utility>

namespace gateway::net {

// Not of unix sockets: Linux 6.17 can miss their end (liburing issue 1549).
void Receiver::allow_multishot() noexcept {
  if (std::exchange(asked_, true)) return;
  int family = AF_UNIX;
  socklen_t size = sizeof family;
  ::getsockopt(socket_.native_handle(), SOL_SOCKET, SO_DOMAIN, &family, &size);
  multishot_ = family != AF_UNIX && ring_.arrival_buffers() != nullptr;
}

void Receiver::receive(char* into, std::size_t room, const Layer* layer, Completion then) noexcept {
  if (!multishot_) return once_.receive(into, room, layer, then);
  into_ = into;
  room_ = room;
  then_ = then;
  cancelled_ = false;
  // One that is being ended will tell, and is begun anew.
  if (!standing_) start();
}

void Receiver::start() noexcept {
  if (end_) {
    standing_ = true;
    io_uring_prep_nop(ring_.submit(*this));
    return;
  }
  if (multishot_ && one_by_one_ == 0) {
    io_uring_sqe* entry = ring_.submit(*this);
    io_uring_prep_recv_multishot(entry, socket_.native_handle(), nullptr, 0, 0);
    entry->ioprio |= IORING_RECVSEND_POLL_FIRST;
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = ArrivalBuffers::group;
    standing_ = true;
    return;
  }
  if (one_by_one_ > 0) --one_by_one_;
  once_.receive(into_, room_, nullptr, std::exchange(then_, {}));
}

void Receiver::stop() noexcept {
  if (std::exchange(stopping_, true)) return;
  ring_.cancel(*this);
}

void Receiver::cancel() noexcept {
  once_.cancel();
  if (then_.done == nullptr) return;
  cancelled_ = true;
  stop();
}

void Receiver::let_go(Completion then) noexcept {
  then_ = then;
  cancelled_ = true;
  stop();
}

void Receiver::answered(RingWaiter& waiter, int result, unsigned flags) {
  auto& self = static_cast<Receiver&>(waiter);
  Ring& ring = self.ring_;
  const bool last = (flags & IORING_CQE_F_MORE) == 0;
  if (last) self.standing_ = self.stopping_ = false;
  // Whoever is told may go away, unless the request still stands.
  if (result > 0) {
    self.arrived(flags, static_cast<std::size_t>(result));
  } else {
    self.ended(self.end_.value_or(result));
  }
  if (last) ring.finished();
}

void Receiver::arrived(unsigned flags, std::size_t bytes) {
  arrivals_.add(*ring_.arrival_buffers(), flags, bytes);
  if (bytes == ArrivalBuffers::size) one_by_one_ = many;
  const bool wanted = then_.done != nullptr;
  // What nobody takes in is left with the sender.
  if (standing_ && (!wanted || one_by_one_ > 0)) stop();
  if (!wanted) return;
  if (!cancelled_) return tell(0, take(into_, room_));
  // Who has been cancelled is told when the request is gone; its bytes wait for the next.
  if (!standing_) tell(-ECANCELED, 0);
}

void Receiver::ended(int result) {
  const bool wanted = then_.done != nullptr;
  switch (result) {
    case -ENOBUFS: one_by_one_ = many; break;
    case -ECANCELED: break;
    default:
      if (wanted && arrivals_.empty()) return tell(result, 0);
      end_ = result;
      if (wanted) tell(-ECANCELED, 0);  // it has been; what came before the end is still to be read
      return;
  }
  if (!wanted) return;
  if (cancelled_) return tell(-ECANCELED, 0);
  start();
}

void Receiver::tell(int result, std::size_t bytes) {
  boost::system::error_code error;
  if (result < 0) error = boost::system::error_code(-result, boost::system::system_category());
  if (result == 0 && bytes == 0) error = boost::asio::error::eof;
  std::exchange(then_, {})(error, bytes);
}

}  // namespace gateway::net
#endif
