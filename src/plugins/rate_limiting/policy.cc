#include "plugins/rate_limiting/policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/keyed_hash.h"

namespace gateway::plugins::rate_limiting {
namespace {

bool any_exceeded(std::span<const Counted> counted) {
  return std::any_of(counted.begin(), counted.end(), [](const Counted& each) { return each.exceeded(); });
}

/// The node's memory. Counts first and takes back what it must: of two requests for the last place one gets it.
/// It stops at the shortest period that is exceeded, whose window ends first: no request that could still pass
/// ever finds a longer one's counter raised by one that is refused.
class Local final : public Policy {
 public:
  Local(std::string_view scope, plugin::LocalCounters& counters) : scope_(digest_of(scope)), counters_(counters) {}

  bool count_now(const Who& who, System::time_point now, std::span<Counted> counted) const override {
    const Digest whose = scope_ + who.digest;
    const auto add = [&](const Counted& each, std::int64_t by) {
      // No two windows are the same number. It need not be secret where it is added to a digest.
      const Digest window{static_cast<std::uint64_t>(each.start.time_since_epoch().count()), static_cast<std::uint64_t>(each.period)};
      return counters_.add(whose + window, by, now, each.start + facts(each.period).kept);
    };
    for (std::size_t i = 0; i < counted.size(); ++i) {
      counted[i].usage = add(counted[i], 1) - 1;
      if (!counted[i].exceeded()) continue;
      for (const Counted& each : counted.first(i + 1)) add(each, -1);
      for (Counted& each : counted.subspan(i + 1)) each.usage = add(each, 0);
      break;
    }
    return true;
  }

  Task<Status> count(const Who& who, std::span<Counted> counted) const override {
    count_now(who, System::now(), counted);
    co_return Status{};
  }

 private:
  // The same for every row of the scope, however often the configuration is read.
  static Digest digest_of(std::string_view scope) {
    static const KeyedHash hash = KeyedHash::random();
    return hash(scope);
  }

  Digest scope_;
  plugin::LocalCounters& counters_;
};

/// The datastore, for all nodes. As exact as the datastore: every increment is one of its own.
class Cluster final : public Policy {
 public:
  Cluster(std::string scope, plugin::ClusterCounters& counters) : scope_(std::move(scope)), counters_(counters) {}

  Task<Status> count(const Who& who, std::span<Counted> counted) const override {
    for (Counted& each : counted) {
      Task<Result<std::int64_t>> reading = counters_.read(key(who.text, each));
      const Result<std::int64_t> usage = co_await reading;
      if (!usage) co_return usage.error();
      each.usage = *usage;
    }
    if (any_exceeded(counted)) co_return Status{};
    for (Counted& each : counted) {
      Task<Result<std::int64_t>> adding = counters_.add(key(who.text, each), 1, facts(each.period).kept);
      const Result<std::int64_t> after = co_await adding;
      if (!after) co_return after.error();
      each.usage = *after - 1;
    }
    if (!any_exceeded(counted)) co_return Status{};
    // Another request took the last place in between: this one was not let through, and does not count.
    for (const Counted& each : counted) {
      Task<Result<std::int64_t>> undoing = counters_.add(key(who.text, each), -1, facts(each.period).kept);
      const Result<std::int64_t> back = co_await undoing;
      if (!back) co_return back.error();
    }
    co_return Status{};
  }

 private:
  std::string key(std::string_view who, const Counted& counted) const {
    const auto start = std::chrono::duration_cast<std::chrono::milliseconds>(counted.start.time_since_epoch()).count();
    return fmt::format("ratelimit:{}:{}:{}:{}", scope_, who, start, facts(counted.period).name);
  }

  std::string scope_;
  plugin::ClusterCounters& counters_;
};

/// Counters in Redis, for which this build has no client: as when a Redis server is down.
class Unreachable final : public Policy {
 public:
  Task<Status> count(const Who&, std::span<Counted>) const override {
    co_return Error{boost::system::errc::make_error_code(boost::system::errc::not_supported), Origin::gateway, "counting in Redis, which this build cannot"};
  }
};

}  // namespace

std::unique_ptr<Policy> make_policy(std::string_view name, std::string scope, const plugin::Services& services) {
  if (name == "cluster") return std::make_unique<Cluster>(std::move(scope), services.cluster_counters);
  if (name == "redis") return std::make_unique<Unreachable>();
  return std::make_unique<Local>(scope, services.local_counters);
}

}  // namespace gateway::plugins::rate_limiting
