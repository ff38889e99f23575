#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "net/address.h"
#include "upstream/balancing/health.h"

namespace gateway::upstream {

/// What all peers of an upstream have in common while its balancers come and go: shared by all workers.
struct Group {
  explicit Group(std::string of) : name(std::move(of)) {}

  const std::string name;                              ///< of the upstream, for the log
  alignas(64) std::atomic<std::uint64_t> version{1};   ///< grows whenever a peer becomes usable or unusable
  std::atomic<std::int64_t> slow_start_ms{0};          ///< how long the share of a peer that returns grows
  alignas(64) std::atomic<std::uint32_t> requests{0};  ///< at its peers, those that a circuit breaker counts
  std::atomic<std::uint32_t> pending{0};               ///< of them, those that wait for a connection
  std::atomic<std::uint32_t> retries{0};               ///< of them, those that are not a first try
};

/// What is known of one peer, whichever balancer uses it. All of it may be asked and told by any thread; nothing locks.
///
/// One word holds health and what else decides whether the peer is used, so that two threads that learn different things at
/// once cannot leave the two at odds.
class alignas(64) PeerState {
 public:
  PeerState(std::shared_ptr<Group> group, std::string host, const net::SocketAddress& address)
      : group_(std::move(group)), host_(std::move(host)), address_(address) {}
  PeerState(const PeerState&) = delete;
  PeerState& operator=(const PeerState&) = delete;

  /// Whether requests may go there. Cheap enough to be asked of every peer in turn.
  [[nodiscard]] bool usable() const noexcept { return (word_.load(std::memory_order_relaxed) & (unhealthy_bit | ejected_bit)) == 0; }
  /// The same, and not held back by a slow start: then it is usable now and again.
  [[nodiscard]] bool admits() noexcept {
    const std::uint64_t word = word_.load(std::memory_order_relaxed);
    return (word & (unhealthy_bit | ejected_bit)) == 0 && ((word & warming_bit) == 0 || warm_enough());
  }

  [[nodiscard]] Health health() const noexcept;
  [[nodiscard]] bool ejected() const noexcept { return (word_.load(std::memory_order_relaxed) & ejected_bit) != 0; }
  /// See after(). Logs when the peer becomes usable or unusable.
  void report(Event event, std::uint8_t limit);
  void mark(bool healthy);
  void eject();
  void readmit();

  // How busy it is

  std::atomic<std::uint32_t> in_flight{0};  ///< requests at this peer, of all workers

  // How quick it is

  /// Of one request, to the head of the answer.
  void observe(std::chrono::microseconds latency) noexcept;
  /// Peak-sensitive average that fades within ten seconds: a peer that was slow gets another chance. Microseconds;
  /// 0 when nothing is known.
  [[nodiscard]] float latency_now() const noexcept;
  /// For a peer of which nothing is known yet.
  void assume_latency(float microseconds) noexcept;

  // What outlier detection looks at

  struct Window {
    std::uint32_t requests = 0;
    std::uint32_t failures = 0;
    std::uint64_t latency_us = 0;  ///< of all requests with an answer
    std::uint32_t answers = 0;
  };
  void count(bool failed, std::chrono::microseconds latency, bool answered) noexcept;
  [[nodiscard]] Window take_window() noexcept;

  [[nodiscard]] const std::string& host() const noexcept { return host_; }
  [[nodiscard]] const net::SocketAddress& address() const noexcept { return address_; }

 private:
  static constexpr std::uint64_t unhealthy_bit = std::uint64_t{2} << 32;  // the upper bit of Health::State
  static constexpr std::uint64_t ejected_bit = std::uint64_t{1} << 34;
  static constexpr std::uint64_t warming_bit = std::uint64_t{1} << 35;
  static constexpr std::uint64_t health_bits = (std::uint64_t{1} << 34) - 1;

  static std::uint64_t pack(const Health& health) noexcept;
  static Health unpack(std::uint64_t word) noexcept;
  template <class F>
  void change(F&& next, const char* why);
  [[nodiscard]] bool warm_enough() noexcept;

  std::atomic<std::uint64_t> word_{0};
  std::atomic<std::int64_t> warm_since_{0};  // milliseconds of the steady clock
  std::atomic<std::uint64_t> latency_{0};    // a float of microseconds and, below it, milliseconds of the steady clock

  alignas(64) std::atomic<std::uint32_t> requests_{0};
  std::atomic<std::uint32_t> failures_{0};
  std::atomic<std::uint32_t> answers_{0};
  std::atomic<std::uint64_t> latency_sum_{0};

  const std::shared_ptr<Group> group_;
  const std::string host_;
  const net::SocketAddress address_;
};

}  // namespace gateway::upstream
