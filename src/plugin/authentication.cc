#include "plugin/authentication.h"

#include <utility>

#include "http/h1/syntax.h"

namespace gateway::plugin {
namespace {

using http::Name;

std::shared_ptr<const void> parse_consumer(const std::vector<nlohmann::json>& rows) {
  return std::make_shared<const KnownConsumer>(entity::Consumer::from_json(rows.front()));
}

// Looked at once here, so that requests need not check the value.
http::Header header(Name name, std::string_view value) { return {http::spelling(name), value, name, false, http::h1::is_field_value(value)}; }

// Views into the consumer: the exchange keeps it as long as the headers live.
void set_consumer_headers(http::Headers& headers, const KnownConsumer& consumer) {
  if (consumer.id_text.empty()) headers.remove(Name::x_consumer_id);
  if (consumer.custom_id.empty()) headers.remove(Name::x_consumer_custom_id);
  if (consumer.username.empty()) headers.remove(Name::x_consumer_username);
  headers.set_all(consumer.headers);
}

}  // namespace

KnownConsumer::KnownConsumer(entity::Consumer of) : entity::Consumer(std::move(of)) {
  if (!id_text.empty()) headers.push_back(header(Name::x_consumer_id, id_text));
  if (!custom_id.empty()) headers.push_back(header(Name::x_consumer_custom_id, custom_id));
  if (!username.empty()) headers.push_back(header(Name::x_consumer_username, username));
}

http::Header credential_identifier(std::string_view text) { return header(Name::x_credential_identifier, text); }

Consumers::Consumers(Population& population)
    : by_id_(population.index("consumers", "id", parse_consumer)), by_username_(population.index("consumers", "username", parse_consumer)) {}

Task<Result<Consumers::ConsumerPtr>> Consumers::load(std::string id) const {
  Task<Result<PopulationIndex::Value>> finding = by_id_.load(std::move(id));
  Result<PopulationIndex::Value> found = co_await finding;
  if (!found) co_return found.error();
  co_return std::static_pointer_cast<const KnownConsumer>(*found);
}

Task<Result<Consumers::ConsumerPtr>> Consumers::find(std::string id_or_username) const {
  if (Uuid::parse(id_or_username)) {
    const PopulationIndex::Value* known = by_id_.peek(id_or_username);
    if (known != nullptr && *known != nullptr) co_return std::static_pointer_cast<const KnownConsumer>(*known);
    Task<Result<PopulationIndex::Value>> by_id = by_id_.load(id_or_username);
    Result<PopulationIndex::Value> found = co_await by_id;
    if (!found) co_return found.error();
    if (*found) co_return std::static_pointer_cast<const KnownConsumer>(*found);
  }
  // A username may look like an id.
  if (const PopulationIndex::Value* known = by_username_.peek(id_or_username)) co_return std::static_pointer_cast<const KnownConsumer>(*known);
  Task<Result<PopulationIndex::Value>> by_username = by_username_.load(std::move(id_or_username));
  Result<PopulationIndex::Value> found = co_await by_username;
  if (!found) co_return found.error();
  co_return std::static_pointer_cast<const KnownConsumer>(*found);
}

void authenticate(Exchange& exchange, Consumers::ConsumerPtr consumer, std::shared_ptr<const Credential> credential, const http::Header& identifier) {
  http::Headers& headers = exchange.request().headers;
  set_consumer_headers(headers, *consumer);
  exchange.keep(std::move(exchange.consumer));
  exchange.keep(std::move(exchange.credential));
  exchange.consumer = std::move(consumer);
  exchange.credential = std::move(credential);
  exchange.anonymous = false;
  if (identifier.value.empty()) {
    headers.remove(identifier.id);
  } else {
    headers.set(identifier);
  }
  headers.remove(Name::x_anonymous_consumer);
}

void authenticate_anonymous(Exchange& exchange, Consumers::ConsumerPtr consumer) {
  http::Headers& headers = exchange.request().headers;
  set_consumer_headers(headers, *consumer);
  exchange.keep(std::move(exchange.consumer));
  exchange.consumer = std::move(consumer);
  exchange.credential = nullptr;
  exchange.anonymous = true;
  headers.remove(Name::x_credential_identifier);
  headers.set(Name::x_anonymous_consumer, "true");
}

}  // namespace gateway::plugin
