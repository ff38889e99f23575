#include "entity/plugin_config.h"

#include <map>

#include "entity/fields.h"
#include "entity/types.h"

namespace gateway::entity {
namespace {

Field bound_to(const char* collection) { return schema::foreign(collection).on_delete_cascade().default_value(nullptr); }

Record base_record() {
  return Record({
      id_field(),
      {"name", schema::string().required().describe("Which plugin.")},
      {"instance_name", name_text().unique().describe("A name of this row's own.")},
      created_at_field(),
      updated_at_field(),
      {"route", bound_to("routes").describe("Only for requests of this route.")},
      {"service", bound_to("services").describe("Only for requests to this service.")},
      {"consumer", bound_to("consumers").describe("Only for requests of this consumer.")},
      {"config", Field(schema::Type::record).abstract().describe("The plugin's own settings.")},
      {"protocols",
       schema::set_of(protocol_text()).required().default_value({"grpc", "grpcs", "http", "https"}).describe("The protocols of the requests it runs for.")},
      {"enabled", schema::boolean().required().default_value(true).describe("Whether it runs.")},
      tags_field(),
  });
}

std::string name_in(const Json& document) {
  const auto name = document.find("name");
  return name != document.end() && name->is_string() ? name->get<std::string>() : std::string();
}

Json name_complaint(const Json& document) {
  const auto name = document.find("name");
  if (name == document.end() || name->is_null()) return {{"name", "required field missing"}};
  if (!name->is_string()) return {{"name", "expected a string"}};
  return {{"name", "plugin '" + name->get<std::string>() + "' not enabled; add it to the 'plugins' configuration property"}};
}

std::optional<Uuid> foreign_id(const Json& document, const char* field) {
  const auto found = document.find(field);
  if (found == document.end() || !found->is_object()) return std::nullopt;
  return Uuid::parse(found->value("id", ""));
}

}  // namespace

TypePtr plugins_type(const std::vector<std::pair<std::string, std::shared_ptr<const Record>>>& plugins) {
  const Record base = base_record();
  auto by_name = std::make_shared<std::map<std::string, std::shared_ptr<const Record>>>();
  for (const auto& [name, special] : plugins) by_name->emplace(name, std::make_shared<const Record>(base.specialised(*special)));

  auto type = std::make_shared<Type>();
  type->name = type->collection = type->nested = "plugins";
  type->endpoint_key = "instance_name";
  type->unique = {"instance_name"};
  type->cache_key = {"name", "route", "service", "consumer"};
  type->foreign = {{"route", "routes", OnDelete::cascade}, {"service", "services", OnDelete::cascade}, {"consumer", "consumers", OnDelete::cascade}};
  type->schema = std::make_shared<const Record>(base);
  type->subschema = [by_name](const Json& document) -> std::shared_ptr<const Record> {
    const auto found = by_name->find(name_in(document));
    return found == by_name->end() ? nullptr : found->second;
  };
  type->no_subschema = name_complaint;
  return type;
}

PluginConfig PluginConfig::from_json(const nlohmann::json& document) {
  PluginConfig row;
  row.id = Uuid::parse(document.value("id", "")).value_or(Uuid{});
  row.name = name_in(document);
  row.route = foreign_id(document, "route");
  row.service = foreign_id(document, "service");
  row.consumer = foreign_id(document, "consumer");
  row.enabled = document.value("enabled", true);
  row.config = document.value("config", Json::object());
  row.protocols = protocols_of(document);
  return row;
}

}  // namespace gateway::entity
