#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "net/address.h"
#include "net/loop.h"
#include "net/undertaking.h"

namespace gateway::net {

/// Finds the addresses of host names: hosts file first, then DNS, with a cache of its own.
///
/// An expired answer serves while one look-up runs, and an outage of DNS for as long as Options::stale_ttl. A failure never
/// replaces an answer, but that the name does not exist does.
///
/// Threads   one per worker; everything on the loop's thread. It may be built before the loop runs.
/// Lifetime  the loop outlives it. Destroying it while names are being resolved is safe, but those who
///           wait are then never resumed (what they need may be gone already): cancel() before.
/// Source    Kong 3.9, dns_* settings; RFC 2782 (SRV).
class Resolver {
 public:
  struct Options {
    std::vector<std::string> servers;              ///< "ip", "ip:port", "[ip]:port"; empty: those of resolv_conf
    std::string resolv_conf = "/etc/resolv.conf";  ///< `search`, `ndots` and, without `servers`, `nameserver`
    std::string hosts_file = "/etc/hosts";         ///< read once; empty: none
    /// Types in the order they are asked for, the next when one has no records: "SRV", "A", "AAAA", "CNAME", and "LAST" for the
    /// one a name had records of last time. Others are ignored.
    std::vector<std::string> order{"LAST", "SRV", "A", "CNAME"};
    std::optional<std::chrono::seconds> valid_ttl;  ///< instead of the TTL of the answers
    std::chrono::seconds stale_ttl{3600};           ///< how long an expired answer serves while a new one is fetched
    std::chrono::seconds not_found_ttl{30};         ///< how long it is remembered that a name has no address
    std::chrono::seconds error_ttl{1};              ///< the same of other failures
    std::chrono::milliseconds timeout{2000};        ///< of the first attempt; each round of attempts doubles it
    unsigned attempts = 3;                          ///< per server
    std::size_t cache_size = 10000;                 ///< names; the least recently used is dropped
  };

  struct Record {
    SocketAddress address;
    unsigned weight = 0;  ///< of SRV (0 counts as 1); 0 where the record has none
    std::string name{};   ///< of SRV: the target, unless that is an address; else empty
  };
  struct Answer {
    std::vector<Record> records;       ///< never empty; in the order they came
    std::chrono::milliseconds ttl{0};  ///< what is left until it should be asked for again; 0: it holds for this one use
    bool srv = false;                  ///< the records bring their own ports and weights
  };

  Resolver(Loop& loop, const Options& options);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// An address of `host`, a literal one included; of several each in turn, and by weight where they are of SRV, whose port then
  /// replaces `port`. Waits only when the cache has nothing usable or the TTL is 0; any number of waiters for a name cost one
  /// look-up. `host` must live until the end, and `waiting` (may be null), with which one of them gives up: the look-up goes on.
  /// A hit allocates nothing.
  /// Errors: is_name_error(); time-outs; operation_aborted after cancel().
  Task<Result<SocketAddress>> resolve(const std::string& host, std::uint16_t port, Undertaking* waiting = nullptr);

  /// All addresses of `host`; of SRV those of the best priority, their targets resolved. Where a target has several addresses,
  /// each has the record's weight. Unlike resolve() this waits for what has expired, for a caller who refreshes what it keeps:
  /// it is given what had expired only when asking again failed. A literal or a name of the hosts file holds for ten years.
  /// Errors: as of resolve().
  Task<Result<Answer>> resolve_all(const std::string& host, std::uint16_t port);

  /// Ends all waiting with operation_aborted, soon, on the loop.
  void cancel();

  /// The name does not exist or has no address: "name resolution failed" in Kong.
  static bool is_name_error(const Error& error) noexcept;

  /// What the cache holds of one name, to be shown.
  struct Line {
    std::string name;
    std::string type;                       ///< "A", "AAAA", "SRV"; "" when there is nothing but an error
    std::vector<std::string> addresses;     ///< "ip", of SRV "ip:port"
    std::string error;                      ///< of the last look-up
    std::chrono::milliseconds ttl_left{0};  ///< until it is asked for again
    bool stale = false;                     ///< `addresses` have expired
    bool hosts_file = false;
    std::uint64_t runs = 0;        ///< times it was asked for here
    std::uint64_t hits = 0;        ///< answered by what was fresh
    std::uint64_t stale_hits = 0;  ///< answered by what had expired
    std::uint64_t queries = 0;     ///< look-ups that went to the name servers
    std::uint64_t failures = 0;    ///< of them, those that found nothing
  };
  /// The names of the hosts file, then the others, the most recently used first.
  [[nodiscard]] std::vector<Line> lines() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;  // shared with nobody for long: what runs on the loop looks whether it is still there
};

}  // namespace gateway::net
