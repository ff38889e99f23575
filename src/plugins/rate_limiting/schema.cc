#include "plugins/rate_limiting/schema.h"

#include <fmt/format.h>

#include "entity/fields.h"
#include "net/ip.h"
#include "plugins/rate_limiting/window.h"

namespace gateway::plugins::rate_limiting {
namespace {

using schema::Check;
using schema::Field;
using schema::Record;

Field limit(const char* sentence) { return schema::number().greater_than(0).describe(sentence); }

Field redis_timeout() { return schema::integer().between(0, 2147483646); }

std::optional<Json> no_address(const Json& value) {
  if (net::IpAddress::parse(value.get_ref<const std::string&>())) return "must not be an IP";
  return std::nullopt;
}

Field redis() {
  return schema::record_of(Record({
                               {"host", entity::host_text().describe("Where Redis is.")},
                               {"port", entity::port_number().default_value(6379).describe("Its port.")},
                               {"timeout", redis_timeout().default_value(2000).describe("Milliseconds for an exchange with it.")},
                               {"username", schema::string().referenceable().describe("Who logs in.")},
                               {"password", schema::string().min_length(0).referenceable().encrypted().describe("With which password.")},
                               {"database", schema::integer().default_value(0).describe("Which of its databases.")},
                               {"ssl", schema::boolean().default_value(false).optional_said().describe("Whether over TLS.")},
                               {"ssl_verify", schema::boolean().default_value(false).optional_said().describe("Whether its certificate is checked.")},
                               {"server_name", entity::host_text().optional_said().rule(no_address).describe("The name its certificate must have.")},
                           }))
      .required();
}

schema::Alias redis_alias(const char* name, Field field) {
  const std::string old = std::string("redis_") + name;
  return {old,
          std::move(field),
          {"redis", name},
          {{"message", fmt::format("rate-limiting: config.{} is deprecated, please use config.redis.{} instead", old, name)},
           {"removal_in_version", "4.0"},
           {"replaced_with", Json::array({{{"path", {"redis", name}}}})}}};
}

// A longer period must not allow less than a shorter one.
std::optional<Json> check_config(const Json& config) {
  const auto given = [&](std::string_view name) {
    const auto found = config.find(std::string(name));
    return found != config.end() && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
  };
  for (std::size_t i = 0; i < periods.size(); ++i) {
    const std::optional<double> shorter = given(periods[i].name);
    if (!shorter) continue;
    for (std::size_t j = i + 1; j < periods.size(); ++j) {
      const std::optional<double> longer = given(periods[j].name);
      if (longer && *longer < *shorter) {
        return fmt::format("The limit for {}({:.1f}) cannot be lower than the limit for {}({:.1f})", periods[j].name, *longer, periods[i].name, *shorter);
      }
    }
  }
  const double sync_rate = given("sync_rate").value_or(-1);
  const bool with_redis = config.value("policy", Json()) == "redis";
  if (sync_rate != -1 && !with_redis) return "sync_rate can only be used with the redis policy";
  if (sync_rate != -1 && sync_rate < 0.02) return "sync_rate must be greater than 0.02, or -1 to disable";
  return std::nullopt;
}

Check required_when(const char* field, const char* value, const char* then) {
  return Check::conditional(field, schema::string().equal_to(value), then, schema::string().required());
}

Check required_number_when(const char* field, const char* value, const char* then) {
  return Check::conditional(field, schema::string().equal_to(value), then, schema::integer().required());
}

}  // namespace

std::shared_ptr<const Record> schema() {
  Record config(
      {
          {"second", limit("Requests per second.")},
          {"minute", limit("Requests per minute.")},
          {"hour", limit("Requests per hour.")},
          {"day", limit("Requests per day.")},
          {"month", limit("Requests per month.")},
          {"year", limit("Requests per year.")},
          {"limit_by",
           schema::string().default_value("consumer").one_of({"consumer", "credential", "ip", "service", "header", "path"}).describe("What is counted apart.")},
          {"header_name", entity::header_name_text().describe("The header whose values are counted apart.")},
          {"path", entity::path_text().describe("The path that is counted apart.")},
          {"policy", schema::string().default_value("local").min_length(0).one_of({"local", "cluster", "redis"}).describe("Where counters live.")},
          {"fault_tolerant", schema::boolean().required().default_value(true).describe("Whether requests pass while counters cannot be reached.")},
          {"redis", redis()},
          {"hide_client_headers", schema::boolean().required().default_value(false).describe("Whether clients are told nothing of their limits.")},
          {"error_code", schema::number().default_value(429).greater_than(0).describe("The status of a refusal.")},
          {"error_message", schema::string().default_value("API rate limit exceeded").describe("What a refusal says.")},
          {"sync_rate", schema::number().required().default_value(-1).describe("Seconds between exchanges with Redis; -1: at every request.")},
      },
      {},
      {
          redis_alias("host", schema::string()),
          redis_alias("port", schema::integer()),
          redis_alias("password", schema::string().min_length(0)),
          redis_alias("username", schema::string()),
          redis_alias("ssl", schema::boolean()),
          redis_alias("ssl_verify", schema::boolean()),
          redis_alias("server_name", schema::string()),
          redis_alias("timeout", schema::integer()),
          redis_alias("database", schema::integer()),
      });
  return std::make_shared<const Record>(
      std::vector<Record::Named>{entity::plugin_protocols(), {"config", schema::record_of(std::move(config)).required().rule(check_config)}},
      std::vector<Check>{
          Check::at_least_one_of({"config.second", "config.minute", "config.hour", "config.day", "config.month", "config.year"}),
          required_when("config.policy", "redis", "config.redis.host"),
          required_number_when("config.policy", "redis", "config.redis.port"),
          required_number_when("config.policy", "redis", "config.redis.timeout"),
          required_when("config.limit_by", "header", "config.header_name"),
          required_when("config.limit_by", "path", "config.path"),
      });
}

}  // namespace gateway::plugins::rate_limiting
