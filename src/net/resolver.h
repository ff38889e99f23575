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

namespace gateway::net {

/// Finds the addresses of host names: hosts file first, then DNS, with a cache of its own.
///
/// Threads   one per worker; everything on the loop's thread. It may be built before the loop runs.
/// Lifetime  the loop outlives it. Destroying it while names are being resolved is safe, but those who
///           wait are then never resumed (what they need may be gone already): cancel() before.
class Resolver {
 public:
  struct Options {
    std::vector<std::string> servers;               ///< "ip", "ip:port", "[ip]:port"; empty: /etc/resolv.conf
    std::string hosts_file = "/etc/hosts";          ///< read once; empty: none
    std::vector<std::string> order{"A", "AAAA"};    ///< the next type is asked when one has no records; others are ignored
    std::optional<std::chrono::seconds> valid_ttl;  ///< instead of the TTL of the answers
    std::chrono::seconds stale_ttl{3600};           ///< how long an expired answer serves while a new one is fetched
    std::chrono::seconds not_found_ttl{30};         ///< how long it is remembered that a name has no address
    std::chrono::seconds error_ttl{1};              ///< the same of other failures
    std::chrono::milliseconds timeout{2000};        ///< of the first attempt; each round of attempts doubles it
    unsigned attempts = 3;                          ///< per server
    std::size_t cache_size = 10000;                 ///< names; the least recently used is dropped
  };

  Resolver(Loop& loop, const Options& options);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// An address of `host`, a literal one included; of several each in turn. Waits only when the cache has
  /// nothing usable; any number of waiters for a name cost one query. `host` must live until the end.
  /// Errors: is_name_error(); time-outs; operation_aborted after cancel().
  Task<Result<SocketAddress>> resolve(const std::string& host, std::uint16_t port);

  /// Ends all waiting with operation_aborted, soon, on the loop.
  void cancel();

  /// The name does not exist or has no address: "name resolution failed" in Kong.
  static bool is_name_error(const Error& error) noexcept;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;  // shared with nobody for long: what runs on the loop looks whether it is still there
};

}  // namespace gateway::net
