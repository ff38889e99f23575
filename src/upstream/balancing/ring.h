#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gateway::upstream {

/// The ring of consistent hashing: peers at many points each, requests at one; a request's peer is the first at or below
/// its point. Built from names alone, hence the same on every node; a peer that comes or goes moves only the requests that
/// are, or become, its own. Source: Kong 3.9, consistent_hashing (ketama).
class Ring {
 public:
  struct Member {
    std::string address;  ///< "ip::port", as Kong writes it
    unsigned weight = 0;
  };

  /// `members` in the order in which collisions are settled. `targets`: how many share the points. `points` below 1000 count as
  /// 1000. Where Kong's ring would run over, each gets fewer points; with more members than points the last ones get none.
  Ring(const std::vector<Member>& members, std::size_t targets, unsigned points);
  Ring() = default;

  /// The place of a request; then place_after() goes round once, over count() places.
  [[nodiscard]] std::uint32_t place_of(std::uint32_t hash) const noexcept { return at_or_below_[hash % at_or_below_.size()]; }
  [[nodiscard]] std::uint32_t place_after(std::uint32_t place) const noexcept { return place == 0 ? count() - 1 : place - 1; }
  [[nodiscard]] std::uint32_t member_at(std::uint32_t place) const noexcept { return members_[place]; }
  [[nodiscard]] std::uint32_t count() const noexcept { return static_cast<std::uint32_t>(members_.size()); }
  [[nodiscard]] bool complete() const noexcept { return complete_; }

 private:
  std::vector<std::uint32_t> members_;      // of every occupied point, from below
  std::vector<std::uint32_t> at_or_below_;  // by point: place in members_
  bool complete_ = true;
};

}  // namespace gateway::upstream
