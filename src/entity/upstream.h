#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/uuid.h"

namespace gateway::entity {

enum class Algorithm : std::uint8_t { round_robin, consistent_hashing, least_connections, latency };

/// What of a request is hashed, so that like ones go to the same target.
struct HashInput {
  enum class From : std::uint8_t { none, consumer, ip, header, cookie, path, query_arg, uri_capture };
  From from = From::none;
  std::string name;  ///< of the header, cookie, argument or group
};

/// What counts for and against a target, and how often in a row until that tells. A limit of 0 never tells.
struct CheckRules {
  std::vector<std::uint16_t> healthy_statuses;
  std::vector<std::uint16_t> unhealthy_statuses;
  std::uint8_t successes = 0;
  std::uint8_t tcp_failures = 0;
  std::uint8_t timeouts = 0;
  std::uint8_t http_failures = 0;
};

/// Probes that the gateway sends by itself.
struct ActiveChecks {
  enum class Kind : std::uint8_t { tcp, tls, http, https };

  CheckRules rules;
  Kind kind = Kind::http;
  std::chrono::milliseconds timeout{1000};  ///< of each step of a probe
  unsigned concurrency = 10;
  std::string http_path = "/";
  std::string https_sni;  ///< empty: the Host of the probe
  bool verify_certificate = true;
  std::vector<std::pair<std::string, std::string>> headers;
  std::chrono::milliseconds healthy_interval{0};    ///< between probes of healthy targets; zero: none are sent
  std::chrono::milliseconds unhealthy_interval{0};  ///< the same of unhealthy ones
};

struct HealthChecks {
  double threshold = 0;  ///< percent of the weight that has to be healthy for the upstream to be used
  ActiveChecks active;
  CheckRules passive;

  /// Whether health has any meaning: as long as nothing can make a target unhealthy, all are taken as they are.
  [[nodiscard]] bool in_use() const noexcept {
    return active.healthy_interval.count() != 0 || active.unhealthy_interval.count() != 0 || passive.tcp_failures != 0 || passive.timeouts != 0 ||
           passive.http_failures != 0;
  }
};

/// When a target that does worse than it should is left out for a while. Ours, beyond Kong.
struct OutlierDetection {
  std::chrono::milliseconds interval{10000};  ///< between two looks
  unsigned min_requests = 10;                 ///< to one target in an interval, to judge it at all
  double error_rate = 50;                     ///< percent of answers from 500 on and of failures; 0: not looked at
  double latency_factor = 0;                  ///< times the median of all targets; 0: not looked at
  std::chrono::milliseconds min_latency{10};  ///< quicker ones are never too slow
  std::chrono::milliseconds ejection_time{30000};
  std::chrono::milliseconds max_ejection_time{300000};  ///< it grows with every time in a row
  double max_ejected = 50;                              ///< percent of the targets
  std::chrono::milliseconds slow_start{0};              ///< how long the share of a target that returns grows
};

/// Limits beyond which an upstream is not given more to do. Zero: none. Ours, beyond Kong.
struct CircuitBreaker {
  unsigned max_connections = 0;       ///< requests at its targets at once
  unsigned max_pending_requests = 0;  ///< requests that wait for a connection to be made
  unsigned max_retries = 0;           ///< tries after the first at once
  double retry_budget = 0;            ///< the same in percent of the requests at its targets; a few are always allowed
  std::chrono::seconds retry_after{1};
};

/// Targets behind one name, and how they share the work. Kong 3.9 entity `upstreams`.
struct Upstream {
  Uuid id;
  std::string name;
  Algorithm algorithm = Algorithm::round_robin;
  HashInput hash_on;
  HashInput hash_fallback;
  std::string cookie_path = "/";
  unsigned slots = 10000;
  HealthChecks health;
  std::string host_header;  ///< empty: the target's name
  bool use_srv_name = false;
  std::optional<Uuid> client_certificate;  ///< what the gateway shows to targets, where the service names none
  std::optional<OutlierDetection> outliers;
  std::optional<CircuitBreaker> breaker;

  /// From a validated document, as the store keeps it.
  static Upstream from_json(const nlohmann::json& document);
};

}  // namespace gateway::entity
