#pragma once

#include <cstddef>

namespace gateway {

/// Gives memory that a burst has left behind back to the system: the C library keeps it otherwise for as long as anything
/// above it is in use.
///
/// Threads   one at a time, none that must not wait: the heaps of all threads are gone through.
class SpareMemory {
 public:
  /// To be called now and then. Does nothing unless there is much.
  void give_back();

 private:
  static constexpr std::size_t much = 48 << 20;
  std::size_t limit_ = much;
};

}  // namespace gateway
