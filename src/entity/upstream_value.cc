// How a row becomes an Upstream.

#include <cmath>
#include "base/json.h"

#include "entity/upstream.h"

namespace gateway::entity {
namespace {

using std::chrono::milliseconds;

// A part of a document with what it says of its members; whoever does not say gets the default.
class Part {
 public:
  explicit Part(const Json& json) : json_(json.is_object() ? json : none()) {}

  [[nodiscard]] Part part(const char* name) const { return Part(member(name)); }
  [[nodiscard]] bool has(const char* name) const { return member(name).is_object(); }
  [[nodiscard]] std::string text(const char* name, std::string otherwise = {}) const {
    const Json& value = member(name);
    return value.is_string() ? value.get<std::string>() : std::move(otherwise);
  }
  [[nodiscard]] bool flag(const char* name, bool otherwise) const {
    const Json& value = member(name);
    return value.is_boolean() ? value.get<bool>() : otherwise;
  }
  [[nodiscard]] double number(const char* name, double otherwise) const {
    const Json& value = member(name);
    return value.is_number() ? value.get<double>() : otherwise;
  }
  [[nodiscard]] milliseconds seconds(const char* name, milliseconds otherwise) const {
    const Json& value = member(name);
    return value.is_number() ? milliseconds(std::llround(value.get<double>() * 1000)) : otherwise;
  }
  template <class T>
  [[nodiscard]] T count(const char* name, T otherwise) const {
    const Json& value = member(name);
    return value.is_number() ? static_cast<T>(value.get<std::uint32_t>()) : otherwise;
  }
  [[nodiscard]] std::vector<std::uint16_t> statuses(const char* name) const {
    std::vector<std::uint16_t> out;
    const Json& value = member(name);
    if (!value.is_array()) return out;
    for (const Json& each : value) {
      if (each.is_number()) out.push_back(each.get<std::uint16_t>());
    }
    return out;
  }
  [[nodiscard]] const Json& member(const char* name) const {
    const auto found = json_.find(name);
    return found == json_.end() ? none() : *found;
  }

 private:
  static const Json& none() {
    static const Json nothing;
    return nothing;
  }
  const Json& json_;
};

Algorithm algorithm_of(const std::string& name) {
  if (name == "consistent-hashing") return Algorithm::consistent_hashing;
  if (name == "least-connections") return Algorithm::least_connections;
  if (name == "latency") return Algorithm::latency;
  return Algorithm::round_robin;
}

HashInput input_of(const Part& row, const std::string& kind, const std::string& prefix) {
  using From = HashInput::From;
  const auto named = [&](From from, const std::string& field) { return HashInput{from, row.text(field.c_str())}; };
  if (kind == "consumer") return {From::consumer, {}};
  if (kind == "ip") return {From::ip, {}};
  if (kind == "path") return {From::path, {}};
  if (kind == "header") return named(From::header, prefix + "_header");
  if (kind == "cookie") return named(From::cookie, "hash_on_cookie");
  if (kind == "query_arg") return named(From::query_arg, prefix + "_query_arg");
  if (kind == "uri_capture") return named(From::uri_capture, prefix + "_uri_capture");
  return {};
}

CheckRules rules_of(const Part& checks) {
  const Part good = checks.part("healthy");
  const Part bad = checks.part("unhealthy");
  CheckRules rules;
  rules.healthy_statuses = good.statuses("http_statuses");
  rules.unhealthy_statuses = bad.statuses("http_statuses");
  rules.successes = good.count<std::uint8_t>("successes", 0);
  rules.tcp_failures = bad.count<std::uint8_t>("tcp_failures", 0);
  rules.timeouts = bad.count<std::uint8_t>("timeouts", 0);
  rules.http_failures = bad.count<std::uint8_t>("http_failures", 0);
  return rules;
}

// The library under Kong knows no probes of gRPC; where it would give up, a connection is made, with TLS for grpcs.
ActiveChecks::Kind kind_of(const std::string& type) {
  if (type == "https") return ActiveChecks::Kind::https;
  if (type == "tcp" || type == "grpc") return ActiveChecks::Kind::tcp;
  if (type == "grpcs") return ActiveChecks::Kind::tls;
  return ActiveChecks::Kind::http;
}

ActiveChecks active_of(const Part& checks) {
  ActiveChecks active;
  active.rules = rules_of(checks);
  active.kind = kind_of(checks.text("type", "http"));
  active.timeout = checks.seconds("timeout", active.timeout);
  active.concurrency = checks.count<unsigned>("concurrency", active.concurrency);
  active.http_path = checks.text("http_path", "/");
  active.https_sni = checks.text("https_sni");
  active.verify_certificate = checks.flag("https_verify_certificate", true);
  active.healthy_interval = checks.part("healthy").seconds("interval", milliseconds(0));
  active.unhealthy_interval = checks.part("unhealthy").seconds("interval", milliseconds(0));
  const Json& headers = checks.member("headers");
  if (!headers.is_object()) return active;
  for (const auto& [name, values] : headers.items()) {
    if (!values.is_array()) continue;
    for (const Json& value : values) {
      if (value.is_string()) active.headers.emplace_back(name, value.get<std::string>());
    }
  }
  return active;
}

OutlierDetection outliers_of(const Part& row) {
  OutlierDetection out;
  out.interval = row.seconds("interval", out.interval);
  out.min_requests = row.count<unsigned>("min_requests", out.min_requests);
  out.error_rate = row.number("error_rate", out.error_rate);
  out.latency_factor = row.number("latency_factor", out.latency_factor);
  out.min_latency = milliseconds(static_cast<std::int64_t>(row.number("min_latency", static_cast<double>(out.min_latency.count()))));
  out.ejection_time = row.seconds("ejection_time", out.ejection_time);
  out.max_ejection_time = row.seconds("max_ejection_time", out.max_ejection_time);
  out.max_ejected = row.number("max_ejected", out.max_ejected);
  out.slow_start = row.seconds("slow_start", out.slow_start);
  return out;
}

CircuitBreaker breaker_of(const Part& row) {
  CircuitBreaker out;
  out.max_connections = row.count<unsigned>("max_connections", 0);
  out.max_pending_requests = row.count<unsigned>("max_pending_requests", 0);
  out.max_retries = row.count<unsigned>("max_retries", 0);
  out.retry_budget = row.number("retry_budget", 0);
  out.retry_after = std::chrono::seconds(row.count<unsigned>("retry_after", 1));
  return out;
}

}  // namespace

Upstream Upstream::from_json(const Json& document) {
  const Part row(document);
  Upstream upstream;
  upstream.id = Uuid::parse(row.text("id")).value_or(Uuid{});
  upstream.name = row.text("name");
  upstream.algorithm = algorithm_of(row.text("algorithm"));
  upstream.hash_on = input_of(row, row.text("hash_on"), "hash_on");
  upstream.hash_fallback = input_of(row, row.text("hash_fallback"), "hash_fallback");
  upstream.cookie_path = row.text("hash_on_cookie_path", "/");
  upstream.slots = row.count<unsigned>("slots", 10000);
  const Part checks = row.part("healthchecks");
  upstream.health.threshold = checks.number("threshold", 0);
  upstream.health.active = active_of(checks.part("active"));
  upstream.health.passive = rules_of(checks.part("passive"));
  // What is looked at are connections: answers tell nothing.
  const std::string watched = checks.part("passive").text("type", "http");
  if (watched == "tcp") upstream.health.passive.healthy_statuses = upstream.health.passive.unhealthy_statuses = {};
  upstream.host_header = row.text("host_header");
  upstream.use_srv_name = row.flag("use_srv_name", false);
  if (row.has("client_certificate")) upstream.client_certificate = Uuid::parse(row.part("client_certificate").text("id"));
  if (row.has("outlier_detection")) upstream.outliers = outliers_of(row.part("outlier_detection"));
  if (row.has("circuit_breaker")) upstream.breaker = breaker_of(row.part("circuit_breaker"));
  return upstream;
}

}  // namespace gateway::entity
