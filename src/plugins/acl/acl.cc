#include "plugins/acl/acl.h"

#include "base/log.h"
#include "entity/fields.h"
#include "http/h1/syntax.h"
#include "plugin/services.h"
#include "schema/record.h"

namespace gateway::plugins::acl {
namespace {

using nlohmann::json;
using plugin::Exchange;
using plugin::Flow;
using plugin::Step;

/// A consumer's groups, and the header that tells the upstream of them.
struct Groups {
  std::vector<std::string> names;
  std::string header;
  bool checked;  ///< nothing is in it that must not be in a header

  explicit Groups(std::vector<std::string> of) : names(std::move(of)) {
    for (const std::string& name : names) header += (header.empty() ? "" : ", ") + name;
    // An empty value would be no header at all: Kong sends a space.
    if (header.empty()) header = " ";
    checked = http::h1::is_field_value(header);
  }
};

std::shared_ptr<const void> parse_groups(const std::vector<json>& rows) {
  std::vector<std::string> names;
  for (const json& row : rows) names.push_back(row.value("group", ""));
  return std::make_shared<const Groups>(std::move(names));
}

class Acl final : public plugin::Plugin {
 public:
  Acl(const json& config, const plugin::Services& services)
      : groups_(services.population.index("acls", "consumer", parse_groups)),
        hide_header_(config.value("hide_groups_header", false)),
        prefer_authenticated_(config.value("always_use_authenticated_groups", false)) {
    const auto allow = config.find("allow");
    allows_ = allow != config.end() && allow->is_array() && !allow->empty();
    list_ = (allows_ ? *allow : config.at("deny")).get<std::vector<std::string>>();
  }

  Step access(Exchange& exchange) const override {
    const bool has_consumer = exchange.consumer != nullptr;
    if (exchange.authenticated_groups && (!has_consumer || !exchange.credential || prefer_authenticated_)) {
      return judge(exchange, Groups(*exchange.authenticated_groups), "X-Authenticated-Groups");
    }
    if (!has_consumer && !(exchange.credential && exchange.credential->consumer)) return exchange.credential ? forbidden() : unauthorized();
    if (!has_consumer) return load(exchange, exchange.credential->consumer->to_string());
    if (const plugin::PopulationIndex::Value* known = groups_.peek(exchange.consumer->id_text, exchange.consumer->id_digest)) return with(exchange, *known);
    return load(exchange, exchange.consumer->id_text);
  }

 private:
  static Flow forbidden() { return Flow::error(403, "You cannot consume this service"); }
  static Flow unauthorized() { return Flow::error(401, "Unauthorized"); }

  Task<Flow> load(Exchange& exchange, std::string consumer) const {
    Task<Result<plugin::PopulationIndex::Value>> finding = groups_.load(std::move(consumer));
    const Result<plugin::PopulationIndex::Value> found = co_await finding;
    if (!found) {
      log::error("{}", found.error().to_string());
      co_return Flow::error(500, "An unexpected error occurred");
    }
    co_return with(exchange, *found);
  }

  Flow with(Exchange& exchange, const plugin::PopulationIndex::Value& value) const {
    if (value) return judge(exchange, *static_cast<const Groups*>(value.get()), "X-Consumer-Groups");
    if (allows_) return exchange.credential ? forbidden() : unauthorized();
    static const Groups none{{}};
    return judge(exchange, none, "X-Consumer-Groups");
  }

  Flow judge(Exchange& exchange, const Groups& groups, std::string_view header) const {
    if (lists_any(groups) != allows_) return forbidden();
    if (!hide_header_) {
      http::Headers& headers = exchange.request().headers;
      // A copy of a few bytes costs less than to count who else holds the groups.
      headers.set({header, headers.keep(groups.header), http::Name::other, false, groups.checked});
    }
    return Flow::next();
  }

  bool lists_any(const Groups& groups) const {
    for (const std::string& name : groups.names) {
      for (const std::string& listed : list_) {
        if (name == listed) return true;
      }
    }
    return false;
  }

  plugin::PopulationIndex& groups_;
  std::vector<std::string> list_;
  bool allows_ = false;
  bool hide_header_;
  bool prefer_authenticated_;
};

std::shared_ptr<const entity::Type> groups_entity() {
  using schema::Record;
  auto type = std::make_shared<entity::Type>();
  type->name = type->collection = type->nested = "acls";
  type->cache_key = {"consumer", "group"};
  type->foreign = {{"consumer", "consumers", entity::OnDelete::cascade}};
  type->state = entity::State::population;
  type->schema = std::make_shared<const Record>(std::vector<Record::Named>{
      entity::id_field(),
      entity::created_at_field(),
      {"consumer", schema::foreign("consumers").required().on_delete_cascade().describe("Who belongs to the group.")},
      {"group", schema::string().required().describe("The group's name.")},
      entity::tags_field(),
  });
  return type;
}

}  // namespace

plugin::PluginType type() {
  using schema::Check;
  using schema::Record;
  plugin::PluginType type;
  type.name = "acl";
  type.priority = 950;
  type.phases = plugin::Phase::access;
  type.per_consumer = false;
  type.entities = {groups_entity()};
  type.schema = std::make_shared<const Record>(
      std::vector<Record::Named>{
          entity::no_consumer(),
          entity::plugin_protocols(),
          {"config", schema::record_of(
                         Record({
                             {"allow", schema::array_of(schema::string()).describe("Groups that may pass.")},
                             {"deny", schema::array_of(schema::string()).describe("Groups that may not.")},
                             {"hide_groups_header", schema::boolean().required().default_value(false).describe("Whether the upstream is not told the groups.")},
                             {"always_use_authenticated_groups",
                              schema::boolean().required().default_value(false).describe("Whether groups that an authentication plugin vouches for go first.")},
                         }))
                         .required()},
      },
      std::vector<Check>{Check::only_one_of({"config.allow", "config.deny"}), Check::at_least_one_of({"config.allow", "config.deny"})});
  type.make = [](const entity::PluginConfig& row, const plugin::Services& services) -> Result<std::unique_ptr<plugin::Plugin>> {
    return std::unique_ptr<plugin::Plugin>(std::make_unique<Acl>(row.config, services));
  };
  return type;
}

}  // namespace gateway::plugins::acl
