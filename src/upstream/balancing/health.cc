#include "upstream/balancing/health.h"

namespace gateway::upstream {
namespace {

std::uint8_t& counter(Health& health, Event event) noexcept {
  switch (event) {
    case Event::success: return health.successes;
    case Event::tcp_failure: return health.tcp_failures;
    case Event::timeout: return health.timeouts;
    case Event::http_failure: break;
  }
  return health.http_failures;
}

}  // namespace

Health after(Health health, Event event, std::uint8_t limit) noexcept {
  using State = Health::State;
  const bool good = event == Event::success;
  const State full = good ? State::healthy : State::unhealthy;
  if (limit == 0 || health.state == full) return health;
  std::uint8_t& count = counter(health, event);
  if (count < 255) ++count;
  if (good) {
    health.tcp_failures = health.timeouts = health.http_failures = 0;
  } else {
    // The kinds of failure add up each by itself; only what speaks for the peer is forgotten.
    health.successes = 0;
  }
  if (count >= limit) {
    health.state = full;
  } else if (health.state == State::healthy) {
    health.state = State::mostly_healthy;
  } else if (health.state == State::unhealthy) {
    health.state = State::mostly_unhealthy;
  }
  return health;
}

}  // namespace gateway::upstream
