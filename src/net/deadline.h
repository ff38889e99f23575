#pragma once

#include <array>
#include <chrono>
#include <cstdint>

#include "base/clock.h"

namespace gateway::net {

class DeadlineWheel;

/// A point in time after which something is given up. Setting one costs a store: the wheel finds out at
/// its next look whether the deadline has moved. Owner's thread only; may be late by one tick.
class Deadline {
 public:
  using Expired = void (*)(void* owner);

  Deadline(DeadlineWheel& wheel, Expired expired, void* owner) noexcept : wheel_(wheel), expired_(expired), owner_(owner) {}
  ~Deadline() { unlink(); }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  void set(std::chrono::milliseconds after) noexcept;
  void clear() noexcept { due_ = never; }

 private:
  friend class DeadlineWheel;
  static constexpr std::uint64_t never = ~std::uint64_t{0};

  void unlink() noexcept;

  DeadlineWheel& wheel_;
  Expired expired_;
  void* owner_;
  std::uint64_t due_ = never;        // in ticks
  std::uint64_t looked_at_ = never;  // tick of the slot it hangs in
  Deadline* next_ = nullptr;
  Deadline** link_ = nullptr;  // what points at us; null: not in the wheel
};

/// All deadlines of one loop, hashed by the tick they fall due in.
class DeadlineWheel {
 public:
  static constexpr std::chrono::milliseconds tick{50};
  static constexpr unsigned ticks_per_second = 20;

  /// Expires what is due. Called by the loop every tick; catches up after a pause.
  void advance(Steady::time_point now);

 private:
  friend class Deadline;
  static constexpr std::size_t slots = 2048;  // 102 s: nearly every deadline is looked at once

  void hang(Deadline& deadline, std::uint64_t due) noexcept;

  std::array<Deadline*, slots> slots_{};
  std::uint64_t now_ = 0;
  Steady::time_point last_ = Steady::now();
};

}  // namespace gateway::net
