#pragma once

#include <cstdint>

namespace gateway::upstream {

/// What a probe or a request tells of a peer.
enum class Event : std::uint8_t { success, tcp_failure, timeout, http_failure };

/// What is known of a peer's health: its state, and what counts towards the next one. A value.
///
/// Peers in the two "mostly" states are on their way: traffic treats them as before, and only once a counter has reached
/// its limit the state changes for good. Source: lua-resty-healthcheck 3.1.0.
struct Health {
  enum class State : std::uint8_t { healthy, mostly_healthy, mostly_unhealthy, unhealthy };

  State state = State::healthy;
  std::uint8_t successes = 0;
  std::uint8_t tcp_failures = 0;
  std::uint8_t timeouts = 0;
  std::uint8_t http_failures = 0;

  [[nodiscard]] bool usable() const noexcept { return state == State::healthy || state == State::mostly_healthy; }

  /// As set by hand: nothing counts yet.
  static Health marked(bool healthy) noexcept { return {healthy ? State::healthy : State::unhealthy, 0, 0, 0, 0}; }

  friend bool operator==(const Health&, const Health&) = default;
};

/// What is known after an event. `limit`: how many of its kind tell; 0: such events do not count, and clear nothing.
[[nodiscard]] Health after(Health health, Event event, std::uint8_t limit) noexcept;

}  // namespace gateway::upstream
