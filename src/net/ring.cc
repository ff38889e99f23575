#if defined(BOOST_ASIO_HAS_IO_URING) && defined(BOOST_ASIO_DISABLE_EPOLL)
#include "net/ring.h"

namespace gateway::net {
namespace {

// A cancellation has an answer too; nobody waits for it.
RingWaiter nobody{[](RingWaiter& /*waiter*/, int /*result*/) {}};

}  // namespace

// There is always a place: when none is left, take_submission has the kernel take all that lie there.
io_uring_sqe* Ring::take(RingWaiter& waiter) noexcept {
  io_uring_sqe* entry = take_submission(ring_);
  ++taken_beside_asio;
  entry->user_data = reinterpret_cast<__u64>(&waiter) | not_asios;
  return entry;
}

io_uring_sqe* Ring::submit(RingWaiter& waiter) noexcept {
  if (waiting_++ == 0) work_.emplace(io_.get_executor());
  return take(waiter);
}

void Ring::cancel(RingWaiter& waiter) noexcept {
  io_uring_sqe* entry = take(nobody);
  io_uring_prep_cancel64(entry, reinterpret_cast<__u64>(&waiter) | not_asios, 0);
}

}  // namespace gateway::net
#endif
