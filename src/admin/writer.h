#pragma once

#include <coroutine>
#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "base/blocking_pool.h"
#include "base/task.h"
#include "store/store.h"

namespace gateway::admin {

/// The one door to the datastore for changes. Reads and writes between enter() and the end of the pass see no
/// other change of this node, and changes reach the snapshot in the order they were committed.
///
/// Control thread only.
class Writer {
 public:
  using Changed = std::function<void(const std::vector<store::Change>&)>;

  /// `seen`: the last change that has been taken over already (Store::last_change).
  Writer(store::Store& store, BlockingPool& pool, std::int64_t seen, Changed changed) : store_(store), pool_(pool), changed_(std::move(changed)), seen_(seen) {}

  /// Holds the door until destroyed.
  class Pass {
   public:
    explicit Pass(Writer& writer) noexcept : writer_(&writer) {}
    Pass(Pass&& other) noexcept : writer_(std::exchange(other.writer_, nullptr)) {}
    Pass& operator=(Pass&&) = delete;
    ~Pass() {
      if (writer_ != nullptr) writer_->leave();
    }

   private:
    Writer* writer_;
  };

  class Enter {
   public:
    explicit Enter(Writer& writer) noexcept : writer_(writer) {}
    bool await_ready() noexcept { return !std::exchange(writer_.busy_, true); }
    void await_suspend(std::coroutine_handle<> waiting) { writer_.waiting_.push_back(waiting); }
    Pass await_resume() noexcept { return Pass(writer_); }

   private:
    Writer& writer_;
  };
  [[nodiscard]] Enter enter() noexcept { return Enter(*this); }

  /// With a pass in hand. What was committed is on its way to the workers when it returns.
  Task<Result<store::Outcome>> write(std::vector<store::Write> writes);

  /// Hands out what others have committed to the same datastore since the last time. Errors: the datastore's.
  Task<Status> follow(Changed others);

 private:
  void leave();

  store::Store& store_;
  BlockingPool& pool_;
  Changed changed_;
  std::int64_t seen_;
  bool busy_ = false;
  std::deque<std::coroutine_handle<>> waiting_;
};

}  // namespace gateway::admin
