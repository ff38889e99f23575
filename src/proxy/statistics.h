#pragma once

#include <atomic>
#include <cstdint>

namespace gateway::proxy {

/// A number one thread changes and others read: no locked instruction.
class Counter {
 public:
  void add(std::int64_t by) noexcept { value_.store(value_.load(std::memory_order_relaxed) + by, std::memory_order_relaxed); }
  [[nodiscard]] std::int64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

/// What a worker counts; written by its thread, read by any.
struct Statistics {
  Counter accepted;
  Counter active;   ///< client connections
  Counter waiting;  ///< of them, those between two requests
  Counter requests;
};

}  // namespace gateway::proxy
