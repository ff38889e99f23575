#pragma once

#include <coroutine>
#include <functional>

namespace gateway {

/// A thread that runs an event loop, seen by code that only needs to get back to it.
class Executor {
 public:
  virtual ~Executor() = default;

  /// Runs `work` on the owning thread, soon and never inside this call. Any thread may call it.
  virtual void post(std::function<void()> work) = 0;

  /// The loop this thread runs; null on threads that run none (the blocking pool, tests).
  static Executor* current() noexcept { return current_; }

  /// Names the loop of the calling thread. Called once by the thread that is about to run it.
  static void set_current(Executor* executor) noexcept { current_ = executor; }

 private:
  inline static thread_local Executor* current_ = nullptr;
};

}  // namespace gateway
