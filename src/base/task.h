#pragma once

#include <cassert>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <optional>
#include <utility>

#include "base/frame_pool.h"

namespace gateway {

template <class T>
class Task;

namespace detail {

/// Ends a task by jumping straight into whoever awaits it, so that a chain of tasks needs no stack.
struct FinalAwaiter {
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> done) const noexcept {
    return done.promise().continuation;
  }
  void await_resume() const noexcept {}
};

struct PromiseBase : PooledFrame {
  std::coroutine_handle<> continuation = std::noop_coroutine();

  std::suspend_always initial_suspend() const noexcept { return {}; }
  FinalAwaiter final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { thrown = std::current_exception(); }
  void rethrow() const {
    if (thrown) [[unlikely]]
      std::rethrow_exception(thrown);
  }

  std::exception_ptr thrown;
};

template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  Task<T> get_return_object() noexcept;
  template <class U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
};

template <>
struct Promise<void> : PromiseBase {
  Task<void> get_return_object() noexcept;
  void return_void() const noexcept {}
};

}  // namespace detail

/// A coroutine that starts when awaited and belongs to the one who awaits it.
///
/// Threads   starts on the awaiting thread and stays where its awaits resume it.
/// Why ours  asio::awaitable costs an allocation and an indirect queue per step, and would pull
///           Asio into every folder that can wait; this one is a pointer and resumes by a jump.
/// Errors    are values (Result). An exception is a defect of ours: it passes on to the one who awaits, and ends the
///           process where nobody does (spawn).
template <class T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
    handle_.promise().continuation = awaiting;
    return handle_;
  }
  T await_resume() {
    handle_.promise().rethrow();
    if constexpr (!std::is_void_v<T>) {
      assert(handle_.promise().value.has_value());
      return std::move(*handle_.promise().value);
    }
  }

 private:
  friend promise_type;
  explicit Task(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

namespace detail {

template <class T>
Task<T> Promise<T>::get_return_object() noexcept {
  return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() noexcept { return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this)); }

/// Runs at once and frees itself at its end.
struct Detached {
  struct promise_type : PooledFrame {
    Detached get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
  };
};

}  // namespace detail

/// Starts a task that nobody waits for. It must own everything it uses: take values, not references.
inline detail::Detached spawn(Task<void> task) { co_await task; }

}  // namespace gateway
