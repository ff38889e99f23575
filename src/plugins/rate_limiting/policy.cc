#include "plugins/rate_limiting/policy.h"

#include <algorithm>
#include <string>

namespace gateway::plugins::rate_limiting {
namespace {

bool any_exceeded(std::span<const Counted> counted) {
  return std::any_of(counted.begin(), counted.end(), [](const Counted& each) { return each.exceeded(); });
}

/// The node's memory. Counts first and takes back what it must: of two requests for the last place one gets it.
class Local final : public Policy {
 public:
  explicit Local(plugin::LocalCounters& counters) : counters_(counters) {}

  bool count_now(std::span<Counted> counted) const override {
    for (Counted& each : counted) each.usage = add(each, 1) - 1;
    if (any_exceeded(counted)) {
      for (const Counted& each : counted) add(each, -1);
    }
    return true;
  }

  Task<Status> count(std::span<Counted> counted) const override {
    count_now(counted);
    co_return Status{};
  }

 private:
  std::int64_t add(const Counted& counted, std::int64_t by) const {
    return counters_.add(counted.key, by, counted.start + facts(counted.period).length);
  }
  plugin::LocalCounters& counters_;
};

/// The datastore, for all nodes. As exact as the datastore: every increment is one of its own.
class Cluster final : public Policy {
 public:
  explicit Cluster(plugin::ClusterCounters& counters) : counters_(counters) {}

  Task<Status> count(std::span<Counted> counted) const override {
    for (Counted& each : counted) {
      const Result<std::int64_t> usage = co_await counters_.read(std::string(each.key));
      if (!usage) co_return usage.error();
      each.usage = *usage;
    }
    if (any_exceeded(counted)) co_return Status{};
    for (Counted& each : counted) {
      const Result<std::int64_t> after = co_await counters_.add(std::string(each.key), 1, facts(each.period).length);
      if (!after) co_return after.error();
      each.usage = *after - 1;
    }
    if (!any_exceeded(counted)) co_return Status{};
    // Another request took the last place in between: this one was not let through, and does not count.
    for (const Counted& each : counted) {
      const Result<std::int64_t> back = co_await counters_.add(std::string(each.key), -1, facts(each.period).length);
      if (!back) co_return back.error();
    }
    co_return Status{};
  }

 private:
  plugin::ClusterCounters& counters_;
};

/// Counters in Redis, which this build cannot reach: as when a Redis server is down.
class Unreachable final : public Policy {
 public:
  Task<Status> count(std::span<Counted>) const override {
    co_return Error{boost::system::errc::make_error_code(boost::system::errc::not_supported), Origin::gateway, "rate-limiting with the redis policy"};
  }
};

}  // namespace

std::unique_ptr<Policy> make_policy(std::string_view name, const plugin::Services& services) {
  if (name == "cluster") return std::make_unique<Cluster>(services.cluster_counters);
  if (name == "redis") return std::make_unique<Unreachable>();
  return std::make_unique<Local>(services.local_counters);
}

}  // namespace gateway::plugins::rate_limiting
