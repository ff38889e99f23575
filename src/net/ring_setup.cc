// How Asio's rings are made, in the io_uring flavour: the build renames liburing's io_uring_queue_init, which Asio
// calls without flags, to this function (cmake/rooms.cmake).
#include "net/loop.h"

#if defined(BOOST_ASIO_HAS_IO_URING) && defined(BOOST_ASIO_DISABLE_EPOLL)

#include <liburing.h>

#include <algorithm>

extern "C" int io_uring_queue_init(unsigned entries, io_uring* ring, unsigned flags) {
  // Asio asks for 16384, which costs megabytes per worker; submissions go out long before these are used up.
  entries = std::min(entries, 4096U);
  // By default the kernel interrupts our thread for every completion. It may wait until we enter it anyway,
  // which saves a fifth of the CPU time under load. Kernels before 5.19 do not know the flag.
  io_uring_params parameters{};
  parameters.flags = flags | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE;
  parameters.cq_entries = 4 * entries;
  const int made = io_uring_queue_init_params(entries, ring, &parameters);
  if (made != -EINVAL) return made;
  parameters = {};
  parameters.flags = flags;
  return io_uring_queue_init_params(entries, ring, &parameters);
}

#endif
