#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "proxy/request.h"
#include "upstream/balancing/balancer.h"

namespace gateway::proxy {

/// Which peer each try of a request goes to, where its service's host is an upstream; and what became of it, for those who
/// come after. Lives as long as the request is being forwarded.
class PeerChoice {
 public:
  explicit PeerChoice(Request& request);
  ~PeerChoice();
  PeerChoice(const PeerChoice&) = delete;
  PeerChoice& operator=(const PeerChoice&) = delete;

  /// Whether the service's host is an upstream: otherwise nothing else here is of use.
  [[nodiscard]] bool balances() const noexcept { return balancer_ != nullptr; }

  /// Picks a peer for the next try. False: there is none, or the circuit is open, see overloaded(). Waits only where names of
  /// targets are being looked up for the first time, five seconds at most.
  Task<bool> next();
  [[nodiscard]] const net::SocketAddress& address() const noexcept { return peer_->address; }
  /// What Host says; lives as long as the request.
  [[nodiscard]] std::string_view host() const noexcept { return peer_->host_header(protocol_); }
  /// How long picking took.
  [[nodiscard]] std::chrono::microseconds took() const noexcept { return took_; }

  /// A limit of the upstream's circuit breaker is reached.
  [[nodiscard]] bool overloaded() const noexcept { return overloaded_; }
  /// What clients that were refused are told; meant for overloaded().
  [[nodiscard]] std::chrono::seconds retry_after() const noexcept { return breaker_ != nullptr ? breaker_->retry_after : std::chrono::seconds(0); }

  /// A connection is about to be made. False: too many wait for one already (overloaded).
  [[nodiscard]] bool connecting() noexcept;
  void connected() noexcept;

  // What became of the try; one that is not told of counts for nothing.
  void answered(unsigned status);
  void failed(const Error& error);

 private:
  [[nodiscard]] bool admitted() noexcept;
  [[nodiscard]] bool may_retry() noexcept;
  [[nodiscard]] std::uint32_t hash();
  void take_newest();
  void release() noexcept;

  Request& request_;
  const upstream::Balancer* balancer_ = nullptr;
  const upstream::Peer* peer_ = nullptr;
  const entity::CircuitBreaker* breaker_ = nullptr;
  upstream::Group* group_ = nullptr;  // of the balancer at first: what is counted there is taken back there
  entity::Protocol protocol_ = entity::Protocol::http;
  std::pmr::vector<const upstream::PeerState*> tried_;
  std::uint32_t hash_ = 0;
  std::uint32_t retries_ = 0;  // counted in the group
  Steady::time_point picked_{};
  std::chrono::microseconds took_{0};
  bool counted_ = false;
  bool pending_ = false;
  bool overloaded_ = false;
  bool timed_ = false;  // somebody wants to know how long things take
};

}  // namespace gateway::proxy
