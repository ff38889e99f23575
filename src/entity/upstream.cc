#include "entity/upstream.h"

#include <algorithm>
#include <cctype>

#include "entity/fields.h"
#include "entity/types.h"
#include "net/ip.h"

namespace gateway::entity {
namespace {

using schema::Check;

const std::vector<Json> hash_inputs = {"none", "consumer", "ip", "header", "cookie", "path", "query_arg", "uri_capture"};
const Json good_statuses = {200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307, 308};

// A pattern holds a plain function, so each word has one of its own.
template <std::size_t size>
struct Word {
  constexpr Word(const char (&text)[size]) { std::copy_n(text, size, characters); }
  char characters[size];
};

template <Word word>
Field is() {
  return schema::string().match({"^" + std::string(word.characters) + "$", [](std::string_view text) { return text == word.characters; }, ""});
}

Field present() { return schema::string().required(); }

Check fallback(Field hash_on, std::vector<Json> allowed) {
  return Check::conditional("hash_on", std::move(hash_on), "hash_fallback", schema::string().one_of(std::move(allowed)));
}

Field hash_field() { return schema::string().default_value("none").one_of(hash_inputs); }
Field count_field() { return schema::integer().between(0, 255).default_value(0); }
Field seconds_field(int otherwise) { return schema::number().between(0, 65535).default_value(otherwise); }
Field probe_field() { return schema::string().default_value("http").one_of({"tcp", "http", "https", "grpc", "grpcs"}); }
Field statuses_field(Json otherwise) { return schema::array_of(schema::integer().between(100, 999)).default_value(std::move(otherwise)); }

// A record whose default is what its fields' defaults make together, as Kong prints it.
Field whole(Record record) {
  Json otherwise = Json::object();
  for (const auto& [name, field] : record.fields()) {
    if (field.default_json()) otherwise[name] = *field.default_json();
  }
  return schema::record_of(std::move(record)).required().default_value(std::move(otherwise));
}

Field passive_checks() {
  return whole(Record({
      {"healthy", whole(Record({
                      {"successes", count_field().describe("Good answers until a target counts as healthy; 0 counts none.")},
                      {"http_statuses", statuses_field(good_statuses).describe("The statuses of good answers.")},
                  }))},
      {"type", probe_field().describe("What is looked at: connections, or answers.")},
      {"unhealthy", whole(Record({
                        {"http_failures", count_field().describe("Bad answers until a target counts as unhealthy; 0 counts none.")},
                        {"timeouts", count_field().describe("Time-outs until a target counts as unhealthy; 0 counts none.")},
                        {"tcp_failures", count_field().describe("Failed connections until a target counts as unhealthy; 0 counts none.")},
                        {"http_statuses", statuses_field({429, 500, 503}).describe("The statuses of bad answers.")},
                    }))},
  }));
}

Field active_checks() {
  return whole(Record({
      {"http_path", path_text().default_value("/").describe("What probes ask for.")},
      {"https_sni", host_text().optional_said().describe("The server name of probes over TLS.")},
      {"https_verify_certificate", schema::boolean().required().default_value(true).describe("Whether probes check certificates.")},
      {"type", probe_field().describe("How probes talk to targets.")},
      {"timeout", seconds_field(1).describe("Seconds a probe may take.")},
      {"healthy", whole(Record({
                      {"interval", seconds_field(0).describe("Seconds between probes of healthy targets; 0 sends none.")},
                      {"successes", count_field().describe("Good probes until a target counts as healthy; 0 counts none.")},
                      {"http_statuses", statuses_field({200, 302}).describe("The statuses of good probes.")},
                  }))},
      {"concurrency", schema::integer().between(1, 2147483648.0).default_value(10).describe("How many targets are probed at a time.")},
      {"unhealthy", whole(Record({
                        {"interval", seconds_field(0).describe("Seconds between probes of unhealthy targets; 0 sends none.")},
                        {"http_failures", count_field().describe("Bad probes until a target counts as unhealthy; 0 counts none.")},
                        {"http_statuses", statuses_field({429, 404, 500, 501, 502, 503, 504, 505}).describe("The statuses of bad probes.")},
                        {"tcp_failures", count_field().describe("Failed connections until a target counts as unhealthy; 0 counts none.")},
                        {"timeouts", count_field().describe("Time-outs until a target counts as unhealthy; 0 counts none.")},
                    }))},
      {"headers", schema::map_of(schema::string(), schema::array_of(schema::string())).optional_said().describe("Headers of probes.")},
  }));
}

Field health_checks() {
  Field passive = passive_checks();
  Field active = active_checks();
  Json otherwise = {{"passive", *passive.default_json()}, {"active", *active.default_json()}};
  return schema::record_of(Record({
                               {"passive", passive.describe("What traffic says of targets.")},
                               {"active", active.describe("What probes say of targets.")},
                               {"threshold", schema::number().between(0, 100).default_value(0).describe("Percent of the weight that has to be healthy.")},
                           }))
      .required()
      .default_value(std::move(otherwise));
}

std::vector<Check> upstream_checks() {
  return {
      Check::conditional("hash_on", is<"header">(), "hash_on_header", present()),
      Check::conditional("hash_fallback", is<"header">(), "hash_fallback_header", present()),
      Check::conditional("hash_on", is<"cookie">(), "hash_on_cookie", present()),
      Check::conditional("hash_fallback", is<"cookie">(), "hash_on_cookie", present()),
      fallback(is<"none">(), {"none"}),
      fallback(is<"cookie">(), {"none"}),
      fallback(is<"consumer">(), {"none", "ip", "header", "cookie", "path", "query_arg", "uri_capture"}),
      fallback(is<"ip">(), {"none", "consumer", "header", "cookie", "path", "query_arg", "uri_capture"}),
      fallback(is<"path">(), {"none", "consumer", "header", "cookie", "query_arg", "ip", "uri_capture"}),
      Check::distinct({"hash_on_header", "hash_fallback_header"}),
      Check::conditional("hash_on", is<"query_arg">(), "hash_on_query_arg", present()),
      Check::conditional("hash_fallback", is<"query_arg">(), "hash_fallback_query_arg", present()),
      Check::distinct({"hash_on_query_arg", "hash_fallback_query_arg"}),
      Check::conditional("hash_on", is<"uri_capture">(), "hash_on_uri_capture", present()),
      Check::conditional("hash_fallback", is<"uri_capture">(), "hash_fallback_uri_capture", present()),
      Check::distinct({"hash_on_uri_capture", "hash_fallback_uri_capture"}),
  };
}

Field seconds_above_zero(double low, double otherwise) { return schema::number().between(low, 65535).default_value(otherwise); }
Field percent_field(double otherwise) { return schema::number().between(0, 100).default_value(otherwise); }
Field limit_field() { return schema::integer().between(0, 2147483647.0).default_value(0); }

Field outlier_detection() {
  return schema::record_of(
             Record({
                 {"interval", seconds_above_zero(0.1, 10).describe("Seconds between two looks at what targets did.")},
                 {"min_requests",
                  schema::integer().between(1, 1000000).default_value(10).describe("Requests to a target in that time without which it is not judged.")},
                 {"error_rate", percent_field(50).describe("Percent of failed requests that is too much; 0 does not look.")},
                 {"latency_factor",
                  schema::number().between(0, 1000).default_value(0).describe("How many times the median of all targets is too slow; 0 does not look.")},
                 {"min_latency", schema::number().between(0, 2147483646).default_value(10).describe("Milliseconds that are never too slow.")},
                 {"ejection_time", seconds_above_zero(0.1, 30).describe("Seconds a target is left out, times how often in a row.")},
                 {"max_ejection_time", seconds_above_zero(0.1, 300).describe("The most seconds a target is left out.")},
                 {"max_ejected", percent_field(50).describe("Percent of the targets that may be left out at once.")},
                 {"slow_start", seconds_field(0).describe("Seconds over which the share of a target that returns grows.")},
             }))
      .default_value(nullptr);
}

Field circuit_breaker() {
  return schema::record_of(Record({
                               {"max_connections", limit_field().describe("Requests at the targets at once; 0 does not limit.")},
                               {"max_pending_requests", limit_field().describe("Requests that wait for a connection at once; 0 does not limit.")},
                               {"max_retries", limit_field().describe("Requests that are tried again at once; 0 does not limit.")},
                               {"retry_budget", percent_field(0).describe("The same in percent of the requests at the targets; 0 does not limit.")},
                               {"retry_after", schema::integer().between(0, 86400).default_value(1).describe("Seconds told to clients that are refused.")},
                           }))
      .default_value(nullptr);
}

// Looks like an address, right or wrong (Kong 3.9, normalize_ip).
bool looks_like_address(std::string_view text) {
  if (std::count(text.begin(), text.end(), ':') > 1 || text.starts_with('['))
    return net::IpAddress::parse(text.starts_with('[') ? text.substr(1, text.find(']') - 1) : text).has_value();
  return net::IpAddress::parse(text.substr(0, text.find(':'))).has_value();
}

std::optional<Json> upstream_name_rule(const Json& value) {
  const std::string& text = value.get_ref<const std::string&>();
  const auto wrong = [&](const char* why) { return "Invalid name ('" + text + "'); " + why; };
  if (looks_like_address(text)) return wrong("no ip addresses allowed");
  static const Field host = host_text();
  const std::optional<Json> complaint = host.complaint(value);
  if (!complaint) return std::nullopt;
  return wrong(*complaint == "must not have a port" ? "no port allowed" : "must be a valid hostname");
}

std::optional<Json> cookie_name_rule(const Json& value) {
  const std::string& text = value.get_ref<const std::string&>();
  const bool good = std::all_of(text.begin(), text.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-'; });
  if (good && !text.empty()) return std::nullopt;
  return "bad cookie name '" + text + "', allowed characters are A-Z, a-z, 0-9, '_', and '-'";
}

// A host that may have a port.
std::optional<Json> host_header_rule(const Json& value) {
  const std::string& text = value.get_ref<const std::string&>();
  static const Field host = host_text();
  const std::optional<Json> complaint = host.complaint(value);
  if (!complaint || *complaint == "must not have a port") return std::nullopt;
  const std::size_t bracket = text.rfind("]:");
  if (text.starts_with('[') && bracket != std::string::npos && !host.complaint(Json(text.substr(0, bracket + 1)))) return std::nullopt;
  return "invalid hostname: " + text;
}

// What one field makes of another, in Kong's order: the algorithm first, then what is hashed.
Json couple(Json& document) {
  const auto algorithm = document.find("algorithm");
  if (algorithm != document.end() && (*algorithm == "least-connections" || *algorithm == "latency")) {
    document["hash_on"] = "none";
    return nullptr;
  }
  const auto hash_on = document.find("hash_on");
  if (hash_on == document.end()) return nullptr;
  if (hash_on->is_null()) {
    *hash_on = "none";
  } else if (hash_on->is_string()) {
    document["algorithm"] = *hash_on == "none" ? "round-robin" : "consistent-hashing";
  }
  return nullptr;
}

}  // namespace

TypePtr upstreams_type() {
  auto type = std::make_shared<Type>();
  type->name = type->collection = type->nested = "upstreams";
  type->endpoint_key = "name";
  type->unique = {"name"};
  type->foreign = {{"client_certificate", "certificates", OnDelete::restrict}};
  type->prepare = couple;
  type->schema = std::make_shared<const Record>(
      std::vector<Record::Named>{
          id_field(),
          created_at_field(),
          {"name", schema::string().required().unique().rule(upstream_name_rule).describe("The name that services give as their host.")},
          updated_at_field(),
          {"algorithm", schema::string()
                            .default_value("round-robin")
                            .one_of({"consistent-hashing", "least-connections", "round-robin", "latency"})
                            .describe("How a target is picked.")},
          {"hash_on", hash_field().describe("What is hashed.")},
          {"hash_fallback", hash_field().describe("What is hashed where the first is missing.")},
          {"hash_on_header", header_name_text().describe("The header that is hashed.")},
          {"hash_fallback_header", header_name_text().describe("The header that is hashed where the first input is missing.")},
          {"hash_on_cookie", schema::string().rule(cookie_name_rule).describe("The cookie that is hashed, and set where it is missing.")},
          {"hash_on_cookie_path", path_text().default_value("/").describe("The path of that cookie.")},
          {"hash_on_query_arg", schema::string().min_length(1).describe("The query argument that is hashed.")},
          {"hash_fallback_query_arg", schema::string().min_length(1).describe("The query argument that is hashed where the first input is missing.")},
          {"hash_on_uri_capture", schema::string().min_length(1).describe("The part of the path that is hashed, by its name in the route.")},
          {"hash_fallback_uri_capture", schema::string().min_length(1).describe("The part of the path that is hashed where the first input is missing.")},
          {"slots", schema::integer().default_value(10000).between(10, 65536).describe("Size of the ring of consistent hashing.")},
          {"healthchecks", health_checks().describe("How the health of targets is found out.")},
          tags_field(),
          {"host_header", schema::string().rule(host_header_rule).describe("The Host that targets get.")},
          {"client_certificate", schema::foreign("certificates").describe("The certificate shown to targets.")},
          {"use_srv_name", schema::boolean().default_value(false).describe("Whether targets get the name of their SRV record as Host.")},
          {"outlier_detection", outlier_detection().shown_when_set().describe("When a target that does worse than the others is left out for a while.")},
          {"circuit_breaker", circuit_breaker().shown_when_set().describe("Limits beyond which requests are refused at once.")},
      },
      upstream_checks());
  return type;
}

}  // namespace gateway::entity
