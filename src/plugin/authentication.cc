#include "plugin/authentication.h"

namespace gateway::plugin {
namespace {

using http::Name;

std::shared_ptr<const void> parse_consumer(const std::vector<nlohmann::json>& rows) {
  return std::make_shared<const entity::Consumer>(entity::Consumer::from_json(rows.front()));
}

// Views into the consumer: the exchange keeps it as long as the headers live.
void set_consumer_headers(http::Headers& headers, const entity::Consumer& consumer) {
  headers.set_or_remove(Name::x_consumer_id, consumer.id_text);
  headers.set_or_remove(Name::x_consumer_custom_id, consumer.custom_id);
  headers.set_or_remove(Name::x_consumer_username, consumer.username);
}

}  // namespace

Consumers::Consumers(Population& population)
    : by_id_(population.index("consumers", "id", parse_consumer)), by_username_(population.index("consumers", "username", parse_consumer)) {}

Task<Result<Consumers::ConsumerPtr>> Consumers::load(std::string id) const {
  Task<Result<PopulationIndex::Value>> finding = by_id_.load(std::move(id));
  Result<PopulationIndex::Value> found = co_await finding;
  if (!found) co_return found.error();
  co_return std::static_pointer_cast<const entity::Consumer>(*found);
}

Task<Result<Consumers::ConsumerPtr>> Consumers::find(std::string id_or_username) const {
  if (Uuid::parse(id_or_username)) {
    const PopulationIndex::Value* known = by_id_.peek(id_or_username);
    if (known != nullptr && *known != nullptr) co_return std::static_pointer_cast<const entity::Consumer>(*known);
    Task<Result<PopulationIndex::Value>> by_id = by_id_.load(id_or_username);
    Result<PopulationIndex::Value> found = co_await by_id;
    if (!found) co_return found.error();
    if (*found) co_return std::static_pointer_cast<const entity::Consumer>(*found);
  }
  // A username may look like an id.
  if (const PopulationIndex::Value* known = by_username_.peek(id_or_username)) co_return std::static_pointer_cast<const entity::Consumer>(*known);
  Task<Result<PopulationIndex::Value>> by_username = by_username_.load(std::move(id_or_username));
  Result<PopulationIndex::Value> found = co_await by_username;
  if (!found) co_return found.error();
  co_return std::static_pointer_cast<const entity::Consumer>(*found);
}

void authenticate(Exchange& exchange, std::shared_ptr<const entity::Consumer> consumer, std::shared_ptr<const Credential> credential,
                  std::string_view credential_identifier) {
  exchange.keep(exchange.consumer);
  exchange.keep(exchange.credential);
  exchange.consumer = std::move(consumer);
  exchange.credential = std::move(credential);
  exchange.anonymous = false;
  http::Headers& headers = exchange.request().headers;
  set_consumer_headers(headers, *exchange.consumer);
  headers.set_or_remove(Name::x_credential_identifier, credential_identifier);
  headers.remove(Name::x_anonymous_consumer);
}

void authenticate_anonymous(Exchange& exchange, std::shared_ptr<const entity::Consumer> consumer) {
  exchange.keep(exchange.consumer);
  exchange.consumer = std::move(consumer);
  exchange.credential = nullptr;
  exchange.anonymous = true;
  http::Headers& headers = exchange.request().headers;
  set_consumer_headers(headers, *exchange.consumer);
  headers.remove(Name::x_credential_identifier);
  headers.set(Name::x_anonymous_consumer, "true");
}

}  // namespace gateway::plugin
