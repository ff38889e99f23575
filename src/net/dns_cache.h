#pragma once

#include <boost/system/error_code.hpp>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "net/dns_message.h"
#include "net/dns_name.h"
#include "net/ip.h"
#include "net/waiting.h"

namespace gateway::net {

/// All a name leads to. Unchanged once made: whoever waited for it may outlive its entry.
struct DnsAddresses {
  struct One {
    IpAddress ip;
    std::uint16_t port = 0;  ///< of SRV; 0: the caller's
    unsigned weight = 0;     ///< of SRV, at least 1; 0 otherwise
    std::string name{};      ///< of SRV: the record's target, unless that is an address; empty otherwise
  };
  std::vector<One> list;  ///< never empty
  DnsType type = DnsType::a;
  std::chrono::seconds ttl{0};  ///< as answered, or as set instead
};

/// What happened to a name since it came to the cache.
struct DnsCounts {
  std::uint64_t runs = 0;      ///< times it was asked for here
  std::uint64_t hits = 0;      ///< answered by what was fresh
  std::uint64_t stale = 0;     ///< answered by what had expired
  std::uint64_t queries = 0;   ///< look-ups that went to the name servers
  std::uint64_t failures = 0;  ///< of them, those that found nothing
};

/// A name that is, or was, looked up.
struct DnsEntry {
  std::string name;
  std::shared_ptr<const DnsAddresses> found;  ///< null: failed, or never answered
  boost::system::error_code error;            ///< of the last look-up. With `found`: what was found before still serves
  Steady::time_point expires;                 ///< of `found` or `error`: when to ask again
  Steady::time_point stale_until;             ///< `found` is of no use after
  std::optional<DnsType> last_type;           ///< that had records, at the last look-up
  bool each_time = false;                     ///< a TTL of 0: `found` serves only where asking again fails
  bool pinned = false;                        ///< of the hosts file: never asked for, never dropped
  bool busy = false;                          ///< being looked up; not dropped meanwhile
  unsigned depth = 0;                         ///< of names whose look-ups led here, one after the other
  DnsEntry* waits_for = nullptr;              ///< the name this one's look-up waits for, another's target
  Waiting* waiters = nullptr;
  DnsCounts counts;

  /// The next in turn: each after the other, or by weight where there are weights. Allocates nothing.
  const DnsAddresses::One& pick() noexcept;
  void set_found(std::shared_ptr<const DnsAddresses> addresses);

  /// It is time to ask again. False after a failure, until that is forgotten.
  [[nodiscard]] bool is_due(Steady::time_point now) const noexcept { return now >= expires || (each_time && !error); }
  [[nodiscard]] bool is_fresh(Steady::time_point now) const noexcept { return found != nullptr && !error && !is_due(now); }
  /// What expired, or what was found before a failure, may serve.
  [[nodiscard]] bool is_stale(Steady::time_point now) const noexcept { return found != nullptr && now < stale_until && (!each_time || error); }
  [[nodiscard]] bool has_failed(Steady::time_point now) const noexcept { return found == nullptr && !busy && !is_due(now); }

 private:
  friend class DnsCache;
  std::size_t turn_ = 0;
  std::vector<std::int64_t> credit_;  // of weighted addresses, as many
  std::list<DnsEntry>::iterator place_;
};

/// Names of the hosts file, and a bounded number of others of which the least recently used go. One thread.
class DnsCache {
 public:
  explicit DnsCache(std::size_t most) : most_(most < 1 ? 1 : most) {}

  /// Null when it is not known. Does not allocate. "a.test." is "a.test" only in the hosts file.
  [[nodiscard]] DnsEntry* find(std::string_view name) const noexcept;
  /// A name not known yet.
  DnsEntry& add(std::string_view name);
  /// It was used just now.
  void touch(DnsEntry& entry) noexcept;

  /// Names whose addresses are known for good. `prefer`: types in order, the first there is gets it.
  void pin_hosts(const std::string& path, const std::vector<DnsType>& prefer);

  [[nodiscard]] std::list<DnsEntry>& names() noexcept { return cache_; }
  [[nodiscard]] const std::list<DnsEntry>& hosts() const noexcept { return pinned_; }

 private:
  void pin(std::string_view name, const std::vector<IpAddress>& v4, const std::vector<IpAddress>& v6, const std::vector<DnsType>& prefer);
  void evict();

  const std::size_t most_;
  std::list<DnsEntry> pinned_;
  std::list<DnsEntry> cache_;  // most recently used first
  std::unordered_map<std::string_view, DnsEntry*, DnsNameHash, DnsNameEqual> names_;
};

}  // namespace gateway::net
