#include "entity/consumer.h"

#include "base/json.h"

#include "entity/fields.h"
#include "entity/types.h"

namespace gateway::entity {

TypePtr consumers_type() {
  auto type = std::make_shared<Type>();
  type->name = type->collection = type->nested = "consumers";
  type->endpoint_key = "username";
  type->unique = {"username", "custom_id"};
  type->state = State::population;
  type->schema = std::make_shared<const Record>(
      std::vector<Record::Named>{
          id_field(),
          created_at_field(),
          updated_at_field(),
          {"username", schema::string().unique().describe("The consumer's name.")},
          {"custom_id", schema::string().unique().describe("The consumer's id in a system of yours.")},
          tags_field(),
      },
      std::vector<schema::Check>{schema::Check::at_least_one_of({"custom_id", "username"})});
  return type;
}

Consumer Consumer::from_json(const nlohmann::json& document) {
  const auto text = [&](const char* name) {
    const auto found = document.find(name);
    return found != document.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  Consumer consumer;
  consumer.id_text = text("id");
  consumer.id_digest = TableHash::of_process()(consumer.id_text);
  consumer.id = Uuid::parse(consumer.id_text).value_or(Uuid{});
  consumer.username = text("username");
  consumer.custom_id = text("custom_id");
  consumer.document = std::make_shared<const nlohmann::json>(document);
  return consumer;
}

}  // namespace gateway::entity
