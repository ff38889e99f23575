#include "net/loop.h"

#include <boost/asio/post.hpp>
#include <chrono>

namespace gateway::net {

// Only the thread that runs it touches Asio: it need not lock. Others write to the mailbox.
Loop::Loop() : io_(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE), mailbox_(io_), timer_(io_), ring_(io_) {}

void Loop::run() {
  Executor::set_current(this);
  ring_.begin();
  keep_alive_.emplace(io_.get_executor());
  mailbox_.open();
  tick();
  io_.run();
  ring_.end();
  Executor::set_current(nullptr);
}

void Loop::post(std::function<void()> work) {
  if (Executor::current() == this) {
    boost::asio::post(io_, std::move(work));
  } else {
    mailbox_.put(std::move(work));
  }
}

void Loop::stop() {
  post([this] { io_.stop(); });
}

void Loop::stop_when_idle() {
  keep_alive_.reset();
  timer_.cancel();
  mailbox_.close();
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
