#pragma once

#include <algorithm>
#include <chrono>

#include "base/clock.h"

namespace gateway::http::h2 {

/// How much is borne of frames that only cost us: so many at once, and so many more every second. They are taken from what is
/// left; what the other side does that is of use gives some back.
class Patience {
 public:
  Patience(double most, double per_second, Steady::time_point now) noexcept : most_(most), per_second_(per_second), left_(most), asked_(now) {}

  /// False: there is none left.
  [[nodiscard]] bool take(double amount, Steady::time_point now) noexcept {
    give(per_second_ * std::chrono::duration<double>(now - asked_).count());
    asked_ = now;
    left_ = std::max(left_ - amount, 0.0);
    return left_ > 0;
  }
  void give(double amount) noexcept { left_ = std::min(most_, left_ + amount); }

 private:
  double most_;
  double per_second_;
  double left_;
  Steady::time_point asked_;
};

}  // namespace gateway::http::h2
