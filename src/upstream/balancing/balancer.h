#pragma once

#include <atomic>
#include <bitset>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "entity/route.h"
#include "entity/upstream.h"
#include "net/address.h"
#include "upstream/balancing/peer_state.h"
#include "upstream/balancing/ring.h"

namespace gateway::upstream {

/// An address that requests of an upstream may go to.
struct Peer {
  net::SocketAddress address;
  std::string host;            ///< what Host says, where the port is the protocol's own
  std::string host_with_port;  ///< and where it is not
  unsigned weight = 0;
  std::shared_ptr<PeerState> state;

  /// What Host says to a service of this protocol.
  [[nodiscard]] const std::string& host_header(entity::Protocol protocol) const noexcept;
};

/// The peers of one upstream, and how one is picked. Immutable, shared by all workers; what changes while it is used is
/// atomic. Picking takes no lock and no memory, and costs the same among many peers as among few.
class Balancer {
 public:
  /// `peers` have weights above zero; in the order of their names, so that every node builds the same ring. `targets`: how many
  /// the upstream has. `settling`: some names are looked up for the first time, so there may be more peers soon.
  Balancer(std::shared_ptr<const entity::Upstream> upstream, std::shared_ptr<Group> group, std::vector<Peer> peers, std::size_t targets, bool settling = false);
  Balancer(const Balancer&) = delete;
  Balancer& operator=(const Balancer&) = delete;

  /// A peer for a request, or for another try of it: one that was not tried if there is one. Null: none is usable, or too
  /// few are (threshold). `hash`: of what the request is hashed by; only for consistent hashing. Valid as long as the balancer.
  [[nodiscard]] const Peer* pick(std::uint32_t hash, std::span<const PeerState* const> tried) const noexcept;

  /// Whether enough of it is usable.
  [[nodiscard]] bool healthy() const noexcept;
  /// Of its usable peers.
  [[nodiscard]] unsigned available_weight() const noexcept;
  [[nodiscard]] unsigned total_weight() const noexcept { return total_weight_; }

  // What real traffic tells of a peer (passive checks and, where configured, outlier detection).
  void answered(const Peer& peer, unsigned status, std::chrono::microseconds latency) const;
  void failed(const Peer& peer, Event how) const;
  // What a probe tells (active checks).
  void probed(PeerState& peer, unsigned status) const;
  void probe_failed(PeerState& peer, Event how) const;
  void probe_succeeded(PeerState& peer) const;

  [[nodiscard]] const entity::Upstream& upstream() const noexcept { return *upstream_; }
  [[nodiscard]] Group& group() const noexcept { return *group_; }
  [[nodiscard]] std::span<const Peer> peers() const noexcept { return peers_; }
  [[nodiscard]] bool settling() const noexcept { return settling_; }

 private:
  /// Statuses that count for and against a peer.
  struct Rules {
    explicit Rules(const entity::CheckRules& rules);
    void tell(PeerState& peer, unsigned status) const;
    void tell(PeerState& peer, Event event) const;
    std::bitset<1000> healthy;
    std::bitset<1000> unhealthy;
    entity::CheckRules limits;
  };
  /// How choosy one is: the later ones are for when nothing better is left.
  enum class Pass : std::uint8_t { fresh_and_warm, fresh, any };
  using Tried = std::span<const PeerState* const>;

  [[nodiscard]] bool takes(const Peer& peer, Tried tried, Pass pass) const noexcept;
  [[nodiscard]] const Peer* next_on_wheel(Tried tried) const noexcept;
  [[nodiscard]] const Peer* next_on_ring(std::uint32_t hash, Tried tried) const noexcept;
  [[nodiscard]] const Peer* best_of_all(Tried tried) const noexcept;
  [[nodiscard]] const Peer* better_of_two(Tried tried) const noexcept;
  [[nodiscard]] const Peer* any(Tried tried) const noexcept;
  [[nodiscard]] const Peer* sample(Tried tried) const noexcept;
  /// Whether `a` has less to do, or is quicker, than `b`.
  [[nodiscard]] bool is_better(const Peer& a, const Peer& b) const noexcept;

  std::shared_ptr<const entity::Upstream> upstream_;
  std::shared_ptr<Group> group_;
  std::vector<Peer> peers_;
  unsigned total_weight_ = 0;
  bool settling_;
  Rules passive_;
  Rules active_;
  std::vector<std::uint32_t> wheel_;
  Ring ring_;

  alignas(64) mutable std::atomic<std::uint64_t> cursor_;
  // What the usable peers weigh, as of a version of the group. Whoever finds it old works it out anew.
  alignas(64) mutable std::atomic<std::uint64_t> available_as_of_{0};
  mutable std::atomic<unsigned> available_{0};
};

}  // namespace gateway::upstream
