#include "upstream/balancing/peer_state.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/log.h"
#include "upstream/balancing/random.h"

namespace gateway::upstream {
namespace {

constexpr float fades_within_ms = 10000;
constexpr float least_share = 0.1F;  // of a peer that has just come back

std::int64_t now_ms() noexcept { return std::chrono::duration_cast<std::chrono::milliseconds>(Steady::now().time_since_epoch()).count(); }

std::uint64_t pack_latency(float microseconds, std::uint32_t at) noexcept { return std::uint64_t{std::bit_cast<std::uint32_t>(microseconds)} << 32 | at; }

}  // namespace

std::uint64_t PeerState::pack(const Health& health) noexcept {
  return std::uint64_t{static_cast<std::uint8_t>(health.state)} << 32 | std::uint64_t{health.successes} << 24 | std::uint64_t{health.tcp_failures} << 16 |
         std::uint64_t{health.timeouts} << 8 | health.http_failures;
}

Health PeerState::unpack(std::uint64_t word) noexcept {
  const auto byte = [word](unsigned shift) { return static_cast<std::uint8_t>(word >> shift); };
  return {static_cast<Health::State>(word >> 32 & 3), byte(24), byte(16), byte(8), byte(0)};
}

Health PeerState::health() const noexcept { return unpack(word_.load(std::memory_order_relaxed)); }

template <class F>
void PeerState::change(F&& next, const char* why) {
  std::uint64_t before = word_.load(std::memory_order_relaxed);
  std::uint64_t after = 0;
  bool was_usable = false;
  bool is_usable = false;
  do {
    after = next(before);
    if (after == before) return;
    was_usable = (before & (unhealthy_bit | ejected_bit)) == 0;
    is_usable = (after & (unhealthy_bit | ejected_bit)) == 0;
    if (is_usable && !was_usable && group_->slow_start_ms.load(std::memory_order_relaxed) > 0) {
      warm_since_.store(now_ms(), std::memory_order_relaxed);
      after |= warming_bit;
    }
  } while (!word_.compare_exchange_weak(before, after, std::memory_order_relaxed));
  if (is_usable == was_usable) return;
  group_->version.fetch_add(1, std::memory_order_release);
  log::warn("target {} ({}) of upstream {} {}: {}", host_, address_.to_string(), group_->name, is_usable ? "is used again" : "is not used any more", why);
}

void PeerState::report(Event event, std::uint8_t limit) {
  if (limit == 0) return;
  const char* why = event == Event::success ? "it is healthy" : "it is unhealthy";
  change([&](std::uint64_t word) { return (word & ~health_bits) | pack(after(unpack(word), event, limit)); }, why);
}

void PeerState::mark(bool healthy) {
  // A mark by hand says that it is fit for all: what kept it out by other reasons is over, too.
  change([&](std::uint64_t word) { return (healthy ? std::uint64_t{0} : word & ~health_bits) | pack(Health::marked(healthy)); }, "marked so");
}

void PeerState::eject() {
  change([](std::uint64_t word) { return word | ejected_bit; }, "it does worse than the others");
}

void PeerState::readmit() {
  change([](std::uint64_t word) { return word & ~ejected_bit; }, "it has been left out long enough");
}

bool PeerState::warm_enough() noexcept {
  const auto whole = static_cast<float>(group_->slow_start_ms.load(std::memory_order_relaxed));
  const auto gone = static_cast<float>(now_ms() - warm_since_.load(std::memory_order_relaxed));
  if (gone >= whole) {
    word_.fetch_and(~warming_bit, std::memory_order_relaxed);
    return true;
  }
  return static_cast<float>(random_bits()) * 0x1p-32F < std::max(least_share, gone / whole);
}

void PeerState::observe(std::chrono::microseconds latency) noexcept {
  const auto seen = std::max(1.0F, static_cast<float>(latency.count()));
  const auto now = static_cast<std::uint32_t>(now_ms());
  const std::uint64_t before = latency_.load(std::memory_order_relaxed);
  float average = std::bit_cast<float>(static_cast<std::uint32_t>(before >> 32));
  if (seen >= average) {
    average = seen;  // bad news count at once
  } else {
    const auto gone = static_cast<float>(now - static_cast<std::uint32_t>(before));
    const float kept = std::exp(-gone / fades_within_ms);
    average = average * kept + seen * (1 - kept);
  }
  // Of two observations at once one may be lost: the average is none the worse for it.
  latency_.store(pack_latency(average, now), std::memory_order_relaxed);
}

float PeerState::latency_now() const noexcept {
  const std::uint64_t word = latency_.load(std::memory_order_relaxed);
  const auto average = std::bit_cast<float>(static_cast<std::uint32_t>(word >> 32));
  if (average == 0) return 0;
  const float x = static_cast<float>(static_cast<std::uint32_t>(now_ms()) - static_cast<std::uint32_t>(word)) / fades_within_ms;
  return average / (1 + x + x * x / 2);  // close to exp(-x), and cheaper
}

void PeerState::assume_latency(float microseconds) noexcept {
  std::uint64_t nothing = 0;
  latency_.compare_exchange_strong(nothing, pack_latency(microseconds, static_cast<std::uint32_t>(now_ms())), std::memory_order_relaxed);
}

void PeerState::count(bool failed, std::chrono::microseconds latency, bool answered) noexcept {
  requests_.fetch_add(1, std::memory_order_relaxed);
  if (failed) failures_.fetch_add(1, std::memory_order_relaxed);
  if (!answered) return;
  answers_.fetch_add(1, std::memory_order_relaxed);
  latency_sum_.fetch_add(static_cast<std::uint64_t>(std::max<std::int64_t>(latency.count(), 0)), std::memory_order_relaxed);
}

PeerState::Window PeerState::take_window() noexcept {
  constexpr auto relaxed = std::memory_order_relaxed;
  return {requests_.exchange(0, relaxed), failures_.exchange(0, relaxed), latency_sum_.exchange(0, relaxed), answers_.exchange(0, relaxed)};
}

}  // namespace gateway::upstream
