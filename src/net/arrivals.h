#pragma once

#include <liburing.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace gateway::net {

/// Buffers that the kernel takes for what arrives where no place was named (io_uring's provided buffers). One thread: the ring's.
class ArrivalBuffers {
 public:
  static constexpr std::size_t size = 2048;  // most heads, with a small body behind
  static constexpr unsigned group = 0;

  /// Null when the kernel does not know of such (before 5.19), or there is no memory.
  static std::unique_ptr<ArrivalBuffers> make(io_uring& ring);
  ~ArrivalBuffers();
  ArrivalBuffers(const ArrivalBuffers&) = delete;
  ArrivalBuffers& operator=(const ArrivalBuffers&) = delete;

 private:
  friend class Arrivals;
  static constexpr unsigned count = 512;  // a power of two

  explicit ArrivalBuffers(char* memory) noexcept;
  void give_back(unsigned buffer) noexcept;

  io_uring_buf_ring* free_;
  char* memory_;
  std::array<std::uint16_t, count> next_{};   // in the queue that a buffer is in,
  std::array<std::uint16_t, count> bytes_{};  // and how much it holds
};

/// What has arrived and was not taken yet: a queue of such buffers.
class Arrivals {
 public:
  Arrivals() = default;
  Arrivals(const Arrivals&) = delete;
  Arrivals& operator=(const Arrivals&) = delete;
  ~Arrivals();

  [[nodiscard]] bool empty() const noexcept { return held_ == 0; }
  /// `answer` holds the number of the buffer, as it came with a completion.
  void add(ArrivalBuffers& buffers, unsigned answer, std::size_t bytes) noexcept;
  /// Copies what fits into `room`; buffers go back once they are empty.
  std::size_t take(char* into, std::size_t room) noexcept;

 private:
  void drop_first() noexcept;

  ArrivalBuffers* buffers_ = nullptr;
  unsigned held_ = 0;
  std::uint16_t first_ = 0;
  std::uint16_t last_ = 0;
  std::size_t taken_ = 0;  // of the first
};

}  // namespace gateway::net
