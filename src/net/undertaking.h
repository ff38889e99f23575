#pragma once

#include <utility>

namespace gateway::net {

/// Something under way for somebody who may not want it any more before it has ended. One thread: the loop's.
class Undertaking {
 public:
  /// Ends the wait, soon, with operation_aborted.
  void cancel() noexcept {
    if (!std::exchange(cancelled_, true) && end_ != nullptr) end_(what_);
  }

  // For those who do it: how it is ended from here on.
  void begin(void* what, void (*end)(void*) noexcept) noexcept {
    what_ = what;
    end_ = end;
  }
  void over() noexcept { end_ = nullptr; }
  [[nodiscard]] bool cancelled() const noexcept { return cancelled_; }

 private:
  void* what_ = nullptr;
  void (*end_)(void*) noexcept = nullptr;
  bool cancelled_ = false;
};

}  // namespace gateway::net
