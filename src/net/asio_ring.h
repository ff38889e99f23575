#pragma once

// How Asio uses liburing, in the io_uring flavour: what it calls by these names is ours. Comes before Asio's headers
// (cmake/asio_pch.h).
#include <liburing.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

namespace gateway::net {

/// A free submission slot. The Asio of Boost 1.81 sends requests that it wants no answer to (cancellations) with whatever the
/// slot was last used for as their address, as liburing has not cleared it since 2.2. The answer then ends somebody else's read.
inline io_uring_sqe* take_submission(io_uring* ring) noexcept {
  io_uring_sqe* entry = io_uring_get_sqe(ring);
  if (entry == nullptr) {
    // Full of what submit_later left to be sent.
    io_uring_submit(ring);
    entry = io_uring_get_sqe(ring);
  }
  if (entry != nullptr) io_uring_sqe_set_data(entry, nullptr);
  return entry;
}

/// Lays what has been prepared before the kernel, which looks when it is entered to wait: a system call less for each turn
/// of the loop. Returns how many there were that had not been laid there before, as Asio counts them.
inline int submit_later(io_uring* ring) noexcept {
  io_uring_sq& queue = ring->sq;
  const unsigned fresh = queue.sqe_tail - queue.sqe_head;
  queue.sqe_head = queue.sqe_tail;
  io_uring_smp_store_release(queue.ktail, queue.sqe_tail);
  return static_cast<int>(fresh);
}

/// What has completed already, without entering the kernel.
inline int look_for_completion(io_uring* ring, io_uring_cqe** found) noexcept {
  const unsigned head = *ring->cq.khead;
  if (head == io_uring_smp_load_acquire(ring->cq.ktail)) return -EAGAIN;
  *found = &ring->cq.cqes[head & ring->cq.ring_mask];
  return 0;
}

/// Sends what has been prepared, and waits, in one system call.
inline int wait_for_completion(io_uring* ring, io_uring_cqe** found) noexcept {
  if (io_uring_sq_ready(ring) == 0 && look_for_completion(ring, found) == 0) return 0;
  const int sent = io_uring_submit_and_wait(ring, 1);
  return look_for_completion(ring, found) == 0 ? 0 : std::min(sent, -EAGAIN);
}

/// Whether the kernel is 5.19 or newer, as the first ring showed.
inline std::atomic<bool> newer_kernel{false};

/// Asio reads into message headers, which the kernel must copy for as long as it waits. One buffer needs none. And we
/// read ahead: trying at once would find nothing nearly always, so the kernel waits first.
inline void prepare_receive(io_uring_sqe* entry, int socket, msghdr* message, unsigned flags) noexcept {
  if (message->msg_iovlen == 1 && message->msg_controllen == 0 && message->msg_name == nullptr) {
    io_uring_prep_recv(entry, socket, message->msg_iov->iov_base, message->msg_iov->iov_len, static_cast<int>(flags));
  } else {
    io_uring_prep_recvmsg(entry, socket, message, flags);
  }
  if (newer_kernel.load(std::memory_order_relaxed)) entry->ioprio |= IORING_RECVSEND_POLL_FIRST;
}

/// The same for what is sent; here trying at once is right.
inline void prepare_send(io_uring_sqe* entry, int socket, const msghdr* message, unsigned flags) noexcept {
  if (message->msg_iovlen == 1 && message->msg_controllen == 0 && message->msg_name == nullptr) {
    io_uring_prep_send(entry, socket, message->msg_iov->iov_base, message->msg_iov->iov_len, static_cast<int>(flags | MSG_NOSIGNAL));
  } else {
    io_uring_prep_sendmsg(entry, socket, message, flags | MSG_NOSIGNAL);
  }
}

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
  io_uring_register_ring_fd(ring);  // spares looking the descriptor up whenever the kernel is entered
}

}  // namespace gateway::net

#define io_uring_get_sqe gateway::net::take_submission
#define io_uring_submit gateway::net::submit_later
#define io_uring_peek_cqe gateway::net::look_for_completion
#define io_uring_wait_cqe gateway::net::wait_for_completion
#define io_uring_queue_init gateway::net::make_ring
#define io_uring_prep_recvmsg gateway::net::prepare_receive
#define io_uring_prep_sendmsg gateway::net::prepare_send
