#pragma once

// How Asio uses liburing, in the io_uring flavour: what it calls by these two names is ours. Comes before Asio's headers
// (cmake/asio_pch.h).
#include <liburing.h>

#include <algorithm>
#include <cerrno>

namespace gateway::net {

/// The Asio of Boost 1.81 sends requests that it wants no answer to (cancellations) with whatever the slot was last used for as their
/// address, as liburing has not cleared it since 2.2. The answer then ends somebody else's read.
inline io_uring_sqe* take_submission(io_uring* ring) noexcept {
  io_uring_sqe* entry = io_uring_get_sqe(ring);
  if (entry != nullptr) io_uring_sqe_set_data(entry, nullptr);
  return entry;
}

/// Asio asks for a ring without flags. By default the kernel interrupts our thread for every completion. It may wait until
/// we enter it anyway, which saves a fifth of the CPU time under load. Kernels before 5.19 do not know the flag.
inline int make_ring(unsigned entries, io_uring* ring, unsigned flags) noexcept {
  // Asio asks for 16384, which costs megabytes per worker; submissions go out long before these are used up.
  entries = std::min(entries, 4096U);
  io_uring_params parameters{};
  parameters.flags = flags | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE;
  parameters.cq_entries = 4 * entries;
  const int made = io_uring_queue_init_params(entries, ring, &parameters);
  return made != -EINVAL ? made : io_uring_queue_init(entries, ring, flags);
}

}  // namespace gateway::net

#define io_uring_get_sqe gateway::net::take_submission
#define io_uring_queue_init gateway::net::make_ring
