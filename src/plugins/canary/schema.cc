#include "plugins/canary/schema.h"

#include <algorithm>
#include <cmath>

#include "entity/fields.h"

namespace gateway::plugins::canary {
namespace {

using schema::Check;
using schema::Record;

schema::Field least(schema::Field field, double low) {
  return field.rule([low](const Json& value) -> std::optional<Json> {
    if (value.get<double>() >= low) return std::nullopt;
    return "value must be at least " + std::to_string(static_cast<int>(low));
  });
}

// It becomes part of a request line as it is.
std::optional<Json> uri_complaint(const Json& value) {
  const auto& text = value.get_ref<const std::string&>();
  const auto breaks = [](unsigned char c) { return c <= ' ' || c == 0x7f || c == '#'; };
  if (std::any_of(text.begin(), text.end(), breaks)) return "must not contain blanks, control characters or '#'";
  return std::nullopt;
}

// A share that grows needs a beginning, and keeps it whatever else of the row changes.
void begin_now(Json& config, double now) {
  const auto given = [&](const char* name) { return config.contains(name) && !config[name].is_null(); };
  const bool by_group = given("hash") && (config["hash"] == "allow" || config["hash"] == "deny");
  if (given("start") || given("percentage") || by_group) return;
  config["start"] = static_cast<std::int64_t>(now);
}

}  // namespace

std::shared_ptr<const Record> schema() {
  Record config({
      {"start", least(schema::number(), 0).describe("When the share begins to grow, in seconds since 1970; unless given, when the row is written.")},
      {"hash", schema::string()
                   .default_value("consumer")
                   .one_of({"consumer", "ip", "none", "allow", "deny", "header"})
                   .describe("What keeps to its side; `allow` and `deny` go by groups, `none` by chance.")},
      {"hash_header", entity::header_name_text().describe("The header whose value keeps to its side.")},
      {"duration", least(schema::number(), 0).default_value(3600).describe("Seconds until all have moved.")},
      {"steps", least(schema::number(), 1).default_value(1000).describe("Into how many parts requests are divided.")},
      {"percentage", schema::number().between(0, 100).describe("A share that stays as it is.")},
      {"upstream_host", entity::host_text().describe("An upstream, a host's name or an address.")},
      {"upstream_port", entity::port_number().describe("Its port; unless given, the service's.")},
      {"upstream_uri", schema::string().starts_with("/").rule(uri_complaint).describe("The path there; unless given, as to the service.")},
      {"upstream_fallback",
       schema::boolean().required().default_value(false).describe("Whether requests stay with the service while the upstream has nobody healthy.")},
      {"groups", schema::array_of(schema::string()).describe("Groups of consumers (acl) that move, or do not.")},
      {"canary_by_header_name", entity::header_name_text().describe("A header with which clients choose: `always` or `never`.")},
  });
  return std::make_shared<const Record>(
      std::vector<Record::Named>{
          entity::no_consumer(),
          entity::plugin_protocols(),
          {"config", schema::record_of(std::move(config)).required().completed_by(begin_now)},
      },
      std::vector<Check>{
          Check::at_least_one_of({"config.upstream_uri", "config.upstream_host", "config.upstream_port"}),
          Check::at_least_one_of({"config.percentage", "config.duration"}),
          Check::conditional("config.hash", schema::string().equal_to("header"), "config.hash_header", schema::string().required()),
          Check::conditional("config.upstream_fallback", schema::boolean().equal_to(true), "config.upstream_host", schema::string().required()),
      });
}

}  // namespace gateway::plugins::canary
