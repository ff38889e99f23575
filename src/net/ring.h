#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <memory>
#include <optional>

#include "net/asio_ring.h"

namespace gateway::net {

class ArrivalBuffers;

/// The io_uring of a loop, for those who use it beside Asio: what they wait for keeps the loop running. The loop's thread.
class Ring {
 public:
  /// After Asio has made its ring for `io`, on the same thread.
  explicit Ring(boost::asio::io_context& io) noexcept;
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  /// The calling thread is the one that runs the loop.
  void begin() noexcept { begin_on_this_thread(ring_); }
  void end() noexcept { loop_runs = false; }

  /// A submission whose end `waiter` will be told of, and then says finished().
  io_uring_sqe* submit(RingWaiter& waiter) noexcept;
  void finished();
  /// Has the waiter told soon, with -ECANCELED unless what it waits for is there.
  void cancel(RingWaiter& waiter) noexcept;

  /// For what arrives where no place was named; made when first asked for. Null: the kernel has no such thing.
  ArrivalBuffers* arrival_buffers() noexcept;

 private:
  io_uring_sqe* take(RingWaiter& waiter) noexcept;

  boost::asio::io_context& io_;
  io_uring* ring_;
  std::unique_ptr<ArrivalBuffers> buffers_;
  bool buffers_asked_for_ = false;
  std::size_t waiting_ = 0;
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> work_;
};

}  // namespace gateway::net
