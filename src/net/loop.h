#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <optional>

#include "base/executor.h"
#include "net/block_pool.h"
#include "net/deadline.h"
#include "net/mailbox.h"

/// The Asio back end this file was compiled with.
#if defined(BOOST_ASIO_HAS_IO_URING) && defined(BOOST_ASIO_DISABLE_EPOLL)
#include "net/ring.h"
namespace gateway::net {
inline constexpr bool on_io_uring = true;
}
#else
namespace gateway::net {
inline constexpr bool on_io_uring = false;
/// What the io_uring back end has beside Asio, this one does not need.
struct Ring {
  explicit Ring(boost::asio::io_context& /*io*/) noexcept {}
  void begin() noexcept {}
  void end() noexcept {}
};
}  // namespace gateway::net
#endif

namespace gateway::net {

/// A thread's event loop with what its connections share: deadlines and buffers. Everything here but
/// post() and stop() belongs to the thread that runs it.
class Loop final : public Executor {
 public:
  Loop();

  /// Runs until stop(). The calling thread becomes the loop's.
  void run();
  /// Ends run() soon. Any thread.
  void stop();
  /// Ends run() once nothing is in flight any more: until then every closed socket has had time to end.
  void stop_when_idle();
  void post(std::function<void()> work) override;

  [[nodiscard]] boost::asio::io_context& io() noexcept { return io_; }
  [[nodiscard]] DeadlineWheel& deadlines() noexcept { return deadlines_; }
  [[nodiscard]] Ring& ring() noexcept { return ring_; }
  [[nodiscard]] BlockPool& blocks() noexcept { return blocks_; }

  /// Called about once a second on the loop's thread.
  void every_second(std::function<void()> work) { each_second_.push_back(std::move(work)); }

 private:
  void tick();

  boost::asio::io_context io_;
  Mailbox mailbox_;
  BlockPool blocks_;
  DeadlineWheel deadlines_;
  boost::asio::steady_timer timer_;
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> keep_alive_;
  std::vector<std::function<void()>> each_second_;
  unsigned ticks_ = 0;
  Ring ring_;  // after what has Asio make it
};

}  // namespace gateway::net
