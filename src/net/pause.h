#pragma once

#include <chrono>
#include <coroutine>

#include "net/deadline.h"
#include "net/loop.h"

namespace gateway::net {

/// Waits for a while. On the loop's thread; cannot be cut short.
class Pause {
 public:
  Pause(Loop& loop, std::chrono::milliseconds length)
      : deadline_(
            loop.deadlines(), [](void* pause) { static_cast<Pause*>(pause)->waiting_.resume(); }, this),
        length_(length) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) noexcept {
    waiting_ = waiting;
    deadline_.set(length_);
  }
  void await_resume() const noexcept {}

 private:
  Deadline deadline_;
  std::chrono::milliseconds length_;
  std::coroutine_handle<> waiting_;
};

}  // namespace gateway::net
