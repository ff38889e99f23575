#pragma once

#include <chrono>
#include <coroutine>
#include <cstdint>

#include "base/task.h"
#include "net/deadline.h"
#include "net/stream.h"

namespace gateway::proxy::stream {

/// Brings all that two connections say to each other from one to the other, both ways at once.
///
/// Each direction holds one block at most and reads on only when the other side has taken it: a slow reader slows its writer
/// down and costs no memory. When a side has said its last word, the other one is told and may go on speaking. Owner's
/// thread only.
class Duplex {
 public:
  /// Blocks are small until one is filled, and again when nothing has moved for a while: most connections are quiet most of the
  /// time. Where much moves, the largest saves a sixth of the CPU.
  static constexpr std::size_t small_block = 4096;
  static constexpr std::size_t large_block = 65536;
  static constexpr std::size_t largest_block = 262144;

  /// `idle`: how long nothing may move in either direction. `last_words`: how long the client may go on when the upstream has
  /// said all; zero: for as long as it has something to say.
  Duplex(net::Loop& loop, net::Stream& client, net::Stream& upstream, std::chrono::milliseconds idle, std::chrono::milliseconds last_words = {});
  Duplex(const Duplex&) = delete;
  Duplex& operator=(const Duplex&) = delete;

  /// Counts into `up` and `down` what arrived at the upstream and at the client. Returns when both sides have ended, when one
  /// fails, or when nothing has moved for too long; both are then only good to be closed.
  Task<void> run(std::uint64_t& up, std::uint64_t& down);

 private:
  Task<void> copy(net::Stream& from, net::Stream& to, std::uint64_t& bytes);
  Task<void> copy_beside(std::uint64_t& bytes);
  void moved() noexcept;
  void calm_down() noexcept;
  void look() noexcept;
  void end() noexcept;

  net::Stream& client_;
  net::Stream& upstream_;
  std::chrono::milliseconds idle_;
  std::chrono::milliseconds last_words_;
  net::Deadline deadline_;
  net::Deadline calm_;    // set while a side may hold a large block
  unsigned writing_ = 0;  // directions in which a write waits: it has a time-out of its own
  bool beside_runs_ = true;
  bool ending_ = false;                // whatever still moves
  std::coroutine_handle<> waiting_{};  // for the direction beside
};

}  // namespace gateway::proxy::stream
