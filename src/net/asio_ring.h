#pragma once

// How Asio uses liburing, in the io_uring flavour: what it calls by these names is ours. Comes before Asio's headers
// (cmake/asio_pch.h).
#include <liburing.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <utility>

namespace gateway::net {

/// The next free entry for a submission. Null only when the kernel takes none.
inline io_uring_sqe* next_entry(io_uring* ring) noexcept {
  io_uring_sqe* entry = io_uring_get_sqe(ring);
  if (entry == nullptr) {
    // Full of what submit_later left to be sent.
    io_uring_submit(ring);
    entry = io_uring_get_sqe(ring);
  }
  return entry;
}

/// How many entries Asio has taken of this ring since it last asked how many went out: whoever sent them, it must hear of each.
/// In a field that liburing leaves to later versions, since a thread may have several rings.
inline unsigned& taken_by_asio(io_uring* ring) noexcept { return ring->pad2; }

/// An entry for Asio. The one of Boost 1.81 sends requests that it wants no answer to (cancellations) with whatever the
/// entry was last used for as their address, as liburing has not cleared it since 2.2. The answer then ends somebody else's read.
inline io_uring_sqe* take_submission(io_uring* ring) noexcept {
  io_uring_sqe* entry = next_entry(ring);
  if (entry == nullptr) return nullptr;
  ++taken_by_asio(ring);
  io_uring_sqe_set_data(entry, nullptr);
  return entry;
}

/// Lays what has been prepared before the kernel, which looks when it is entered to wait: a system call less for each turn
/// of the loop. Returns how many of Asio's there were that it had not heard of.
inline int submit_later(io_uring* ring) noexcept {
  io_uring_sq& queue = ring->sq;
  queue.sqe_head = queue.sqe_tail;
  io_uring_smp_store_release(queue.ktail, queue.sqe_tail);
  return static_cast<int>(std::exchange(taken_by_asio(ring), 0U));
}

/// Who waits for an answer of the ring, and is not Asio. May go away, or ask for more, when it has been told
/// of the last one (flags without IORING_CQE_F_MORE).
struct RingWaiter {
  void (*answered)(RingWaiter& waiter, int result, unsigned flags);
};

/// This thread runs its loop. Afterwards, when Asio clears up, the waiters are gone.
inline thread_local bool loop_runs = false;

/// Marks the address of a RingWaiter among what comes back with answers: Asio's own are even.
inline constexpr __u64 not_asios = 1;

/// What has completed for Asio already, without entering the kernel. Who else waited is told; `told` becomes true then.
inline int look_for_completion(io_uring* ring, io_uring_cqe** found, bool& told) {
  for (;;) {
    const unsigned head = *ring->cq.khead;
    if (head == io_uring_smp_load_acquire(ring->cq.ktail)) return -EAGAIN;
    io_uring_cqe& answer = ring->cq.cqes[head & ring->cq.ring_mask];
    if ((answer.user_data & not_asios) == 0) {
      *found = &answer;
      return 0;
    }
    auto& waiter = *reinterpret_cast<RingWaiter*>(answer.user_data - not_asios);  // NOLINT(performance-no-int-to-ptr): the kernel keeps numbers
    const int result = answer.res;
    const unsigned flags = answer.flags;
    io_uring_cq_advance(ring, 1);
    if (!loop_runs) continue;
    told = true;
    waiter.answered(waiter, result, flags);
  }
}

inline int look_for_completion(io_uring* ring, io_uring_cqe** found) {
  bool told = false;
  return look_for_completion(ring, found, told);
}

/// Sends what has been prepared, and waits, in one system call. Returns without one for Asio once others were told something:
/// they may have posted to Asio what must not wait.
inline int wait_for_completion(io_uring* ring, io_uring_cqe** found) {
  bool told = false;
  if (io_uring_sq_ready(ring) == 0 && look_for_completion(ring, found, told) == 0) return 0;
  if (told) return -EAGAIN;
  const int sent = io_uring_submit_and_wait(ring, 1);
  return look_for_completion(ring, found) == 0 ? 0 : std::min(sent, -EAGAIN);
}

/// Whether the kernel is 5.19 or newer, as the first ring showed.
inline std::atomic<bool> newer_kernel{false};

/// The ring that this thread made last: Asio keeps it to itself.
inline thread_local io_uring* newest_ring = nullptr;

/// Asio asks for a ring without flags. By default the kernel interrupts our thread for every completion. It can leave
/// them until we wait, when it knows that one thread alone uses the ring (6.1), or until we enter it anyway (5.19).
/// Of the first kind the thread must say that it is the one: begin_on_this_thread().
inline int make_ring(unsigned entries, io_uring* ring, unsigned flags) noexcept {
  newest_ring = ring;
  constexpr unsigned kinds[] = {
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED,
      IORING_SETUP_COOP_TASKRUN,
  };
  for (const unsigned kind : kinds) {
    // Asio asks for 16384, which costs megabytes per worker; submissions go out long before these are used up.
    io_uring_params parameters{};
    entries = std::min(entries, 4096U);
    parameters.flags = flags | kind | IORING_SETUP_CQSIZE;
    parameters.cq_entries = 4 * entries;
    const int made = io_uring_queue_init_params(entries, ring, &parameters);
    if (made == 0) newer_kernel.store(true, std::memory_order_relaxed);
    if (made != -EINVAL) return made;
  }
  return io_uring_queue_init(entries, ring, flags);
}

/// From here on the calling thread alone uses the ring. (Debian's liburing declares io_uring_enable_rings and lacks it.)
inline void begin_on_this_thread(io_uring* ring) noexcept {
  if ((ring->flags & IORING_SETUP_R_DISABLED) != 0) {
    ::syscall(__NR_io_uring_register, ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  }
  loop_runs = true;
  io_uring_register_ring_fd(ring);  // spares looking the descriptor up whenever the kernel is entered
}

}  // namespace gateway::net

#define io_uring_get_sqe gateway::net::take_submission
#define io_uring_submit gateway::net::submit_later
#define io_uring_peek_cqe gateway::net::look_for_completion
#define io_uring_wait_cqe gateway::net::wait_for_completion
#define io_uring_queue_init gateway::net::make_ring
