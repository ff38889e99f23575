#include "upstream/balancing/ring.h"

#include <algorithm>

#include "upstream/balancing/ring_hash.h"

namespace gateway::upstream {
namespace {

constexpr unsigned least_points = 1000;
constexpr double points_of_one = 160;  // of a target among others with the same weight
// A ring fuller than this takes long to fill and leaves nothing for those who come last: then all get fewer points.
constexpr double fullest = 0.9;
constexpr double full_enough = 0.7;
constexpr std::uint32_t nobody = ~std::uint32_t{0};

}  // namespace

Ring::Ring(const std::vector<Member>& members, std::size_t targets, unsigned points) {
  points = std::max(points, least_points);
  std::uint64_t total = 0;
  for (const Member& member : members) total += member.weight;
  std::vector<std::uint64_t> wishes;
  wishes.reserve(members.size());
  std::uint64_t wished = 0;
  for (const Member& member : members) {
    const double share = member.weight == 0 ? 0 : static_cast<double>(member.weight) / static_cast<double>(total);
    wishes.push_back(member.weight == 0 ? 0 : std::max<std::uint64_t>(1, static_cast<std::uint64_t>(share * static_cast<double>(targets) * points_of_one)));
    wished += wishes.back();
  }
  const double room = static_cast<double>(points);
  const double scale = static_cast<double>(wished) > room * fullest ? room * full_enough / static_cast<double>(wished) : 1;
  std::vector<std::uint32_t> owners(points, nobody);
  std::size_t taken = 0;
  for (std::uint32_t i = 0; i < members.size(); ++i) {
    if (wishes[i] == 0) continue;
    auto wanted = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(static_cast<double>(wishes[i]) * scale));
    // A point that is taken puts off the rest: one more number is tried for it.
    for (std::uint64_t number = 1; number <= wanted; ++number) {
      if (number > points || taken == points) {
        complete_ = false;
        break;
      }
      std::uint32_t& owner = owners[ring_hash(members[i].address + ' ' + std::to_string(number)) % points];
      if (owner == nobody) {
        owner = i;
        ++taken;
      } else {
        ++wanted;
      }
    }
  }
  members_.reserve(taken);
  at_or_below_.reserve(points);
  for (const std::uint32_t owner : owners) {
    if (owner != nobody) members_.push_back(owner);
    // Below the first one, the way leads round to the last.
    at_or_below_.push_back(members_.empty() ? nobody : static_cast<std::uint32_t>(members_.size() - 1));
  }
  for (std::uint32_t& place : at_or_below_) {
    if (place == nobody) place = count() == 0 ? 0 : count() - 1;
  }
}

}  // namespace gateway::upstream
