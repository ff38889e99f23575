#include "net/loop.h"

#include <chrono>

namespace gateway::net {

// One thread runs it, others post to it. On epoll only the queue needs locks for that; on io_uring a post from another
// thread submits to the ring itself.
Loop::Loop() : io_(on_io_uring ? 1 : BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO), timer_(io_) {}

void Loop::run() {
  Executor::set_current(this);
  keep_alive_.emplace(io_.get_executor());
  tick();
  io_.run();
  Executor::set_current(nullptr);
}

void Loop::stop() { io_.stop(); }

void Loop::stop_when_idle() {
  keep_alive_.reset();
  timer_.cancel();
}

// One timer for all deadlines: a timer per request would cost system calls.
void Loop::tick() {
  deadlines_.advance(Steady::now());
  if (++ticks_ % DeadlineWheel::ticks_per_second == 0) {
    for (const auto& work : each_second_) work();
  }
  if (!keep_alive_) return;
  timer_.expires_after(DeadlineWheel::tick);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) tick();
  });
}

}  // namespace gateway::net
