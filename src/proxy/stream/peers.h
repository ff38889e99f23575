#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "proxy/stream/session.h"
#include "upstream/balancing/balancer.h"

namespace gateway::proxy::stream {

/// Where the tries of a session go: the service's address, the addresses of its name in turn, or the peers of an upstream.
/// Lives as long as the session, which is one more at its peer for that time.
class Peers {
 public:
  Peers(const Host& host, const Session& session);
  ~Peers();
  Peers(const Peers&) = delete;
  Peers& operator=(const Peers&) = delete;

  /// For the next try. Errors: the name leads nowhere, no peer is usable, the circuit is open; status_of() tells what that is
  /// to the client.
  Task<Result<net::SocketAddress>> next();
  [[nodiscard]] unsigned status_of(const Error& error) const noexcept;

  /// The name for SNI and for the check of the peer's certificate.
  [[nodiscard]] std::string server_name() const;

  // What became of the try.
  void connected();
  void failed(const Error& error);
  /// The gateway lacks something (files, ports, memory): that says nothing about a peer, and trying another helps nobody.
  [[nodiscard]] static bool is_our_own(const Error& error) noexcept;

 private:
  [[nodiscard]] bool admitted() noexcept;
  [[nodiscard]] bool may_retry() noexcept;
  [[nodiscard]] std::uint32_t hash() const;
  void take_newest();
  void release() noexcept;

  const Host& host_;
  const Session& session_;
  std::shared_ptr<const upstream::Balancer> balancer_;
  std::shared_ptr<const upstream::Balancer> first_;  // of the same upstream: what was counted there is taken back there
  const upstream::Peer* peer_ = nullptr;
  std::vector<const upstream::PeerState*> tried_;
  std::uint32_t retries_ = 0;  // counted in the group
  bool counted_ = false;
  Steady::time_point picked_{};
};

}  // namespace gateway::proxy::stream
