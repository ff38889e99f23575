#include "plugins/rate_limiting/policy.h"

#include <algorithm>
#include <string>

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
  explicit Local(plugin::LocalCounters& counters) : counters_(counters) {}

  bool count_now(std::span<Counted> counted) const override {
    for (std::size_t i = 0; i < counted.size(); ++i) {
      counted[i].usage = add(counted[i], 1) - 1;
      if (!counted[i].exceeded()) continue;
      for (const Counted& each : counted.first(i + 1)) add(each, -1);
      for (Counted& each : counted.subspan(i + 1)) each.usage = add(each, 0);
      break;
    }
    return true;
  }

  Task<Status> count(std::span<Counted> counted) const override {
    count_now(counted);
    co_return Status{};
  }

 private:
  std::int64_t add(const Counted& counted, std::int64_t by) const { return counters_.add(counted.key, by, counted.start + facts(counted.period).kept); }
  plugin::LocalCounters& counters_;
};

/// The datastore, for all nodes. As exact as the datastore: every increment is one of its own.
class Cluster final : public Policy {
 public:
  explicit Cluster(plugin::ClusterCounters& counters) : counters_(counters) {}

  Task<Status> count(std::span<Counted> counted) const override {
    for (Counted& each : counted) {
      Task<Result<std::int64_t>> reading = counters_.read(std::string(each.key));
      const Result<std::int64_t> usage = co_await reading;
      if (!usage) co_return usage.error();
      each.usage = *usage;
    }
    if (any_exceeded(counted)) co_return Status{};
    for (Counted& each : counted) {
      Task<Result<std::int64_t>> adding = counters_.add(std::string(each.key), 1, facts(each.period).kept);
      const Result<std::int64_t> after = co_await adding;
      if (!after) co_return after.error();
      each.usage = *after - 1;
    }
    if (!any_exceeded(counted)) co_return Status{};
    // Another request took the last place in between: this one was not let through, and does not count.
    for (const Counted& each : counted) {
      Task<Result<std::int64_t>> undoing = counters_.add(std::string(each.key), -1, facts(each.period).kept);
      const Result<std::int64_t> back = co_await undoing;
      if (!back) co_return back.error();
    }
    co_return Status{};
  }

 private:
  plugin::ClusterCounters& counters_;
};

/// Counters in Redis, for which this build has no client: as when a Redis server is down.
class Unreachable final : public Policy {
 public:
  Task<Status> count(std::span<Counted>) const override {
    co_return Error{boost::system::errc::make_error_code(boost::system::errc::not_supported), Origin::gateway, "counting in Redis, which this build cannot"};
  }
};

}  // namespace

std::unique_ptr<Policy> make_policy(std::string_view name, const plugin::Services& services) {
  if (name == "cluster") return std::make_unique<Cluster>(services.cluster_counters);
  if (name == "redis") return std::make_unique<Unreachable>();
  return std::make_unique<Local>(services.local_counters);
}

}  // namespace gateway::plugins::rate_limiting
