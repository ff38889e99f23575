#pragma once

#include <memory>
#include <span>
#include <unordered_map>

#include "base/clock.h"
#include "entity/upstream.h"
#include "upstream/balancing/balancer.h"

namespace gateway::upstream {

/// Which peers of an upstream are left out because they do worse than they should, and for how long: once the configured
/// time, twice that when it happens again, and so on. Each look without reason takes one time back. One thread.
class Ejections {
 public:
  /// Looks at what the peers did since the last look.
  void look(std::span<const Peer> peers, const entity::OutlierDetection& rules, Steady::time_point now);
  /// Lets those back in whose time is over.
  void readmit(Steady::time_point now);
  /// Lets all back in: nobody looks any more.
  void end();

 private:
  struct Record {
    std::shared_ptr<PeerState> peer;
    Steady::time_point until{};
    unsigned times = 0;
    bool out = false;
  };
  std::unordered_map<const PeerState*, Record> records_;
};

}  // namespace gateway::upstream
