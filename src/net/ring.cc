#if defined(BOOST_ASIO_HAS_IO_URING) && defined(BOOST_ASIO_DISABLE_EPOLL)
#include "net/ring.h"

#include <boost/asio/post.hpp>
#include <cstdlib>
#include <utility>

#include "base/log.h"
#include "net/arrivals.h"

namespace gateway::net {
namespace {

// A cancellation has an answer too; nobody waits for it.
RingWaiter nobody{[](RingWaiter& /*waiter*/, int /*result*/, unsigned /*flags*/) {}};

}  // namespace

Ring::Ring(boost::asio::io_context& io) noexcept : io_(io), ring_(newest_ring) {}

Ring::~Ring() = default;

ArrivalBuffers* Ring::arrival_buffers() noexcept {
  // Where completions are left until we wait, none comes between two looks at a socket; a kernel that can do that (6.1) has
  // all that multishot receive needs.
  const bool able = (ring_->flags & IORING_SETUP_DEFER_TASKRUN) != 0;
  if (!std::exchange(buffers_asked_for_, true) && able) buffers_ = ArrivalBuffers::make(*ring_);
  return buffers_.get();
}

io_uring_sqe* Ring::take(RingWaiter& waiter) noexcept {
  io_uring_sqe* entry = next_entry(ring_);
  if (entry == nullptr) {
    // Without memory for requests of its own, the kernel cannot even be asked to cancel what waits.
    log::error("io_uring takes no more submissions");
    std::abort();
  }
  entry->user_data = reinterpret_cast<__u64>(&waiter) | not_asios;
  return entry;
}

io_uring_sqe* Ring::submit(RingWaiter& waiter) noexcept {
  if (waiting_++ == 0) work_.emplace(io_.get_executor());
  return take(waiter);
}

// Waiters are told inside Asio's own turn, where it does not see yet what they have posted: the last one's work must not
// have it end before that has run.
void Ring::finished() {
  if (--waiting_ > 0) return;
  boost::asio::post(io_, [work = std::move(*work_)] {});
  work_.reset();
}

void Ring::cancel(RingWaiter& waiter) noexcept {
  io_uring_sqe* entry = take(nobody);
  io_uring_prep_cancel64(entry, reinterpret_cast<__u64>(&waiter) | not_asios, 0);
}

}  // namespace gateway::net
#endif
