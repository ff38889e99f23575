#include "base/task.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "base/blocking_pool.h"

namespace gateway {
namespace {

Task<int> fails() {
  throw std::runtime_error("a defect");
  co_return 1;
}
Task<int> passes_on(bool& destroyed) {
  struct Witness {
    ~Witness() { destroyed = true; }
    bool& destroyed;
  };
  const Witness witness{destroyed};
  co_return co_await fails();
}
Task<void> says(std::string& said, bool& destroyed) {
  try {
    const int value = co_await passes_on(destroyed);
    said = std::to_string(value);
  } catch (const std::runtime_error& error) {
    said = error.what();
  }
}

TEST(Task, AnExceptionPassesOnToTheOneWhoAwaits) {
  std::string said;
  bool destroyed = false;
  spawn(says(said, destroyed));
  EXPECT_EQ(said, "a defect");
  EXPECT_TRUE(destroyed);
}

Task<void> fails_alone() {
  const int value = co_await fails();
  static_cast<void>(value);
}

TEST(TaskDeathTest, AnExceptionNobodyAwaitsEndsTheProcess) { EXPECT_DEATH(spawn(fails_alone()), "a defect"); }

/// Runs what is posted when it is told to.
class Loop final : public Executor {
 public:
  void post(std::function<void()> work) override {
    const std::lock_guard lock(mutex_);
    work_ = std::move(work);
    posted_.notify_one();
  }
  void run_one() {
    std::unique_lock lock(mutex_);
    posted_.wait(lock, [this] { return work_ != nullptr; });
    const std::function<void()> work = std::exchange(work_, nullptr);
    lock.unlock();
    work();
  }

 private:
  std::mutex mutex_;
  std::condition_variable posted_;
  std::function<void()> work_;
};

Task<void> says_what_a_thread_threw(BlockingPool& pool, std::string& said) {
  const auto work = []() -> int { throw std::runtime_error("on another thread"); };
  try {
    const int value = co_await pool.run(work);
    said = std::to_string(value);
  } catch (const std::runtime_error& error) {
    said = error.what();
  }
}

TEST(BlockingPool, AnExceptionComesBackToTheOneWhoAwaits) {
  Loop loop;
  Executor::set_current(&loop);
  std::string said;
  {
    BlockingPool pool(1);
    spawn(says_what_a_thread_threw(pool, said));
    loop.run_one();
  }
  Executor::set_current(nullptr);
  EXPECT_EQ(said, "on another thread");
}

}  // namespace
}  // namespace gateway
