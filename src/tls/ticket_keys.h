#pragma once

#include <array>
#include <vector>

#include "base/clock.h"

namespace gateway::tls {

/// What session tickets are sealed with. The first seals new ones, all of them open old ones.
struct TicketKey {
  std::array<unsigned char, 16> name;
  std::array<unsigned char, 32> cipher;
  std::array<unsigned char, 32> mac;
  static TicketKey random();
};
using TicketKeys = std::vector<TicketKey>;

/// The node's keys. A ticket's key is a key to all that was said under it: each seals for an hour, and is gone a day later.
class TicketKeyRing {
 public:
  /// With one new key.
  explicit TicketKeyRing(Steady::time_point now);

  /// Adds a new key when the newest has had its hour. True: keys() are others.
  bool turn(Steady::time_point now);
  /// Newest first.
  [[nodiscard]] const TicketKeys& keys() const noexcept { return keys_; }

 private:
  TicketKeys keys_;
  Steady::time_point turned_;
};

}  // namespace gateway::tls
