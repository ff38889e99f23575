#include "tls/ticket_keys.h"

#include <openssl/rand.h>

namespace gateway::tls {
namespace {

constexpr std::chrono::hours sealing{1};
constexpr std::size_t kept = 25;  // the one that seals, and those of the last day

}  // namespace

TicketKey TicketKey::random() {
  TicketKey key;
  RAND_bytes(key.name.data(), static_cast<int>(key.name.size()));
  RAND_bytes(key.cipher.data(), static_cast<int>(key.cipher.size()));
  RAND_bytes(key.mac.data(), static_cast<int>(key.mac.size()));
  return key;
}

TicketKeyRing::TicketKeyRing(Steady::time_point now) : keys_{TicketKey::random()}, turned_(now) {}

bool TicketKeyRing::turn(Steady::time_point now) {
  if (now - turned_ < sealing) return false;
  keys_.insert(keys_.begin(), TicketKey::random());
  if (keys_.size() > kept) keys_.pop_back();
  turned_ = now;
  return true;
}

}  // namespace gateway::tls
