#pragma once

#include <condition_variable>
#include <coroutine>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/executor.h"

namespace gateway {

/// A few threads for calls that wait in the kernel (SQLite, files). `co_await pool.run(f)` runs f there
/// and resumes on the loop it was called from.
class BlockingPool {
 public:
  explicit BlockingPool(unsigned threads);
  ~BlockingPool();  ///< finishes what was queued, then joins
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  /// Queues work nobody waits for.
  void post(std::function<void()> work);

  template <class F>
  class Run {
    using T = std::invoke_result_t<F>;

   public:
    Run(BlockingPool& pool, F work) : pool_(pool), work_(std::move(work)) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting) {
      Executor* home = Executor::current();
      pool_.post([this, home, waiting] {
        try {
          if constexpr (std::is_void_v<T>) {
            work_();
          } else {
            value_.emplace(work_());
          }
        } catch (...) {
          thrown_ = std::current_exception();  // a defect, as in Task: whoever awaits gets it
        }
        if (home != nullptr) {
          home->post([waiting] { waiting.resume(); });
        } else {
          waiting.resume();
        }
      });
    }
    T await_resume() {
      if (thrown_) std::rethrow_exception(thrown_);
      if constexpr (!std::is_void_v<T>) return std::move(*value_);
    }

   private:
    struct Nothing {};
    BlockingPool& pool_;
    F work_;
    std::optional<std::conditional_t<std::is_void_v<T>, Nothing, T>> value_;
    std::exception_ptr thrown_;
  };

  template <class F>
  [[nodiscard]] Run<F> run(F work) {
    return Run<F>(*this, std::move(work));
  }

 private:
  void work();
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace gateway
