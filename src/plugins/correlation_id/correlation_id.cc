#include "plugins/correlation_id/correlation_id.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/uuid.h"
#include "entity/fields.h"
#include "plugin/services.h"
#include "schema/record.h"

namespace gateway::plugins::correlation_id {
namespace {

using plugin::Exchange;
using plugin::Flow;
using plugin::Step;

constexpr std::size_t longest_id = 192;

enum class Generator { uuid, uuid_counter, tracker };

// One id per worker and a number of its own: a worker never waits for another one.
char* next_counted(char* out) {
  static thread_local const Uuid worker = Uuid::random();
  static thread_local std::uint64_t counter = 0;
  return fmt::format_to(out + worker.write(out).size(), "#{}", ++counter);
}

char* track(char* out, const Exchange& exchange) {
  const plugin::Connection& connection = exchange.connection();
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(System::now().time_since_epoch()).count();
  return fmt::format_to(out, "{}-{}-{}-{}-{}-{}.{:03}", connection.server_ip, connection.server_port, ::getpid(), connection.serial, connection.requests,
                        now / 1000, now % 1000);
}

class CorrelationId final : public plugin::Plugin {
 public:
  CorrelationId(std::string header, Generator generator, bool echo) : header_(std::move(header)), generator_(generator), echo_(echo) {}

  Step access(Exchange& exchange) const override {
    http::Headers& headers = exchange.request().headers;
    const std::string_view given = headers.value(header_);
    exchange.correlation_id = given.empty() ? generate(exchange) : given;
    if (given.empty()) headers.set(header_, exchange.correlation_id);
    return Flow::next();
  }

  // An answer from before access has no id yet: the client's own, or a new one.
  void header_filter(Exchange& exchange, unsigned&, http::Headers& headers) const override {
    if (!echo_) return;
    std::string_view id = exchange.correlation_id;
    if (id.empty()) id = exchange.request().headers.value(header_);
    if (id.empty()) id = generate(exchange);
    headers.set(header_, id);
  }

 private:
  std::string_view generate(const Exchange& exchange) const {
    // The longest: an IPv6 address, a port, a process, two counters, a time.
    auto* room = static_cast<char*>(exchange.arena().allocate(longest_id, 1));
    char* end = room;
    switch (generator_) {
      case Generator::uuid: end += Uuid::random().write(room).size(); break;
      case Generator::uuid_counter: end = next_counted(room); break;
      case Generator::tracker: end = track(room, exchange); break;
    }
    return {room, static_cast<std::size_t>(end - room)};
  }

  std::string header_;
  Generator generator_;
  bool echo_;
};

Generator generator_of(const nlohmann::json& config) {
  const auto found = config.find("generator");
  if (found != config.end() && *found == "uuid") return Generator::uuid;
  if (found != config.end() && *found == "tracker") return Generator::tracker;
  return Generator::uuid_counter;
}

}  // namespace

plugin::PluginType type() {
  using schema::Record;
  plugin::PluginType type;
  type.name = "correlation-id";
  type.priority = 100001;
  type.phases = plugin::Phase::access | plugin::Phase::header_filter;
  type.schema = std::make_shared<const Record>(std::vector<Record::Named>{
      entity::plugin_protocols(),
      {"config", schema::record_of(
                     Record({
                         {"header_name", entity::header_name_text().default_value("Kong-Request-ID").describe("The header that carries the id.")},
                         {"generator",
                          schema::string().required().default_value("uuid#counter").one_of({"uuid", "uuid#counter", "tracker"}).describe("How an id is made.")},
                         {"echo_downstream", schema::boolean().required().default_value(false).describe("Whether the client is told the id.")},
                     }))
                     .required()},
  });
  type.make = [](const entity::PluginConfig& row, const plugin::Services&) -> Result<std::unique_ptr<plugin::Plugin>> {
    const auto header = row.config.find("header_name");
    std::string name = header != row.config.end() && header->is_string() ? header->get<std::string>() : "Kong-Request-ID";
    return std::unique_ptr<plugin::Plugin>(
        std::make_unique<CorrelationId>(std::move(name), generator_of(row.config), row.config.value("echo_downstream", false)));
  };
  return type;
}

}  // namespace gateway::plugins::correlation_id
