#include "plugins/key_auth/key_auth.h"

#include "base/log.h"
#include "entity/fields.h"
#include "plugin/arguments.h"
#include "plugin/authentication.h"
#include "plugin/header_names.h"
#include "plugin/services.h"
#include "plugins/key_auth/body_key.h"
#include "schema/record.h"

namespace gateway::plugins::key_auth {
namespace {

using nlohmann::json;
using plugin::Exchange;
using plugin::Flow;
using plugin::PopulationIndex;
using plugin::Step;

constexpr std::size_t max_body_bytes = 8 << 20;

/// A row of keyauth_credentials, as requests need it.
struct Key {
  plugin::Credential credential;
  http::Header identifier;  ///< of the credential, for the upstream
  std::string consumer;     ///< its id
  Digest consumer_digest;
  std::optional<System::time_point> expires;
};

std::shared_ptr<const void> parse_key(const std::vector<json>& rows) {
  const json& row = rows.front();
  auto key = std::make_shared<Key>();
  key->credential.id_text = row.value("id", "");
  key->credential.id = Uuid::parse(key->credential.id_text).value_or(Uuid{});
  key->identifier = plugin::credential_identifier(key->credential.id_text);
  key->consumer = schema::at_path(row, "consumer.id").get<std::string>();
  key->consumer_digest = TableHash::of_process()(key->consumer);
  const auto ttl = row.find("ttl");
  if (ttl != row.end() && ttl->is_number()) key->expires = System::now() + std::chrono::seconds(ttl->get<std::int64_t>());
  return key;
}

/// What looking for a key came to.
struct Search {
  enum class Outcome {
    none,
    found,
    valueless,  // "?apikey": the name is there, but counts as another one's turn
    duplicate,
    needs_body,
  } outcome = Outcome::none;
  std::string_view key;
  std::string_view name;  ///< under which it was found
};

struct Body {
  std::string_view type;
  std::string_view text;
};

class KeyAuth final : public plugin::Plugin {
 public:
  KeyAuth(const json& config, const plugin::Services& services)
      : keys_(services.population.index("keyauth_credentials", "key", parse_key)), consumers_(services.population), services_(services) {
    names_ = config.value("key_names", std::vector<std::string>{"apikey"});
    hide_ = config.value("hide_credentials", false);
    in_header_ = config.value("key_in_header", true);
    in_query_ = config.value("key_in_query", true);
    in_body_ = config.value("key_in_body", false);
    on_preflight_ = config.value("run_on_preflight", true);
    const auto text = [&](const char* name) { return config.contains(name) && config[name].is_string() ? config[name].get<std::string>() : std::string(); };
    anonymous_ = text("anonymous");
    const std::string realm = text("realm");
    challenge_ = realm.empty() ? "Key" : "Key realm=\"" + realm + "\"";
  }

  Step access(Exchange& exchange) const override {
    if (!on_preflight_ && exchange.request().method == "OPTIONS") return Flow::next();
    if (!anonymous_.empty() && exchange.credential) return Flow::next();
    const Search search = look(exchange, nullptr);
    const bool body_to_clean = in_body_ && hide_ && search.outcome == Search::Outcome::found;
    if (search.outcome == Search::Outcome::needs_body || body_to_clean) return with_body(exchange);
    return go_on(exchange, search);
  }

 private:
  // At once when everything is known on this worker, which is the usual case.
  Step go_on(Exchange& exchange, const Search& search) const {
    if (search.outcome == Search::Outcome::duplicate) return fail(exchange, "Duplicate API key found");
    if (hide_ && search.outcome == Search::Outcome::found) hide(exchange, search.name);
    if (search.key.empty()) return fail(exchange, "No API key found in request");
    const PopulationIndex::Value* known = keys_.peek(search.key);
    if (known == nullptr) return load(exchange, std::string(search.key));
    if (*known == nullptr) return fail(exchange, "Unauthorized");
    const auto& key = *static_cast<const Key*>(known->get());
    if (expired(key)) return fail(exchange, "Unauthorized");
    const PopulationIndex::Value* consumer = consumers_.peek(key.consumer, key.consumer_digest);
    if (consumer == nullptr) return load(exchange, std::string(search.key));
    if (*consumer == nullptr) return fail(exchange, "Unauthorized");
    accept(exchange, *known, std::static_pointer_cast<const plugin::KnownConsumer>(*consumer));
    return Flow::next();
  }

  Task<Flow> load(Exchange& exchange, std::string text) const {
    Task<Result<PopulationIndex::Value>> finding = keys_.load(std::move(text));
    const Result<PopulationIndex::Value> found = co_await finding;
    if (!found) {
      log::error("{}", found.error().to_string());
      co_return co_await broken(exchange);
    }
    const auto* key = static_cast<const Key*>(found->get());
    if (key == nullptr || expired(*key)) co_return co_await failed(exchange, "Unauthorized");
    Task<Result<plugin::Consumers::ConsumerPtr>> loading = consumers_.load(key->consumer);
    const Result<plugin::Consumers::ConsumerPtr> consumer = co_await loading;
    if (!consumer) {
      log::error("{}", consumer.error().to_string());
      co_return co_await broken(exchange);
    }
    // The consumer has gone, and its keys go with it.
    if (*consumer == nullptr) co_return co_await failed(exchange, "Unauthorized");
    accept(exchange, *found, *consumer);
    co_return Flow::next();
  }

  // A cache may outlive a key: while the datastore is down, old values are served.
  bool expired(const Key& key) const { return key.expires && *key.expires <= services_.now(); }

  // The datastore failed. Whoever is let in without a key is let in all the same.
  Task<Flow> broken(Exchange& exchange) const {
    if (anonymous_.empty()) co_return Flow::error(500, "An unexpected error occurred");
    co_return co_await failed(exchange, "An unexpected error occurred");
  }

  static void accept(Exchange& exchange, const PopulationIndex::Value& value, plugin::Consumers::ConsumerPtr consumer) {
    const auto& key = *static_cast<const Key*>(value.get());
    // Counted with the key, which each worker counts for itself.
    plugin::authenticate(exchange, std::move(consumer), {value, &key.credential}, key.identifier);
  }

  Task<Flow> with_body(Exchange& exchange) const {
    Body body{exchange.request().headers.value(http::Name::content_type), {}};
    if (exchange.body != nullptr) {
      const Result<std::string_view> read = co_await exchange.body->read_all(max_body_bytes);
      if (read) {
        body.text = *read;
      } else {
        log::info("Cannot process request body: {}", read.error().to_string());
      }
    }
    const Search search = look(exchange, &body);
    if (hide_ && search.outcome == Search::Outcome::found && !body.text.empty()) {
      std::optional<std::string> rest = without_key(body.type, body.text, search.name);
      if (rest) exchange.body->replace(std::move(*rest));
    }
    Step step = go_on(exchange, search);
    Flow flow = step.take();
    if (step.waits()) flow = co_await step.task();
    co_return flow;
  }

  // The first name that is there at all decides. Without a body the search may end where it is needed.
  Search look(Exchange& exchange, const Body* body) const {
    for (const std::string& name : names_) {
      Search search;
      search.name = name;
      if (in_header_) in_headers(exchange, search);
      if (search.outcome == Search::Outcome::none && in_query_) in_query(exchange, search);
      if (search.outcome == Search::Outcome::none && in_body_) {
        if (body == nullptr) return {Search::Outcome::needs_body, {}, {}};
        in_body(exchange, *body, search);
      }
      if (search.outcome == Search::Outcome::found || search.outcome == Search::Outcome::duplicate) return search;
    }
    return {};
  }

  static void note(Search& search, Search::Outcome as, std::string_view value) {
    search.outcome = search.outcome == Search::Outcome::none ? as : Search::Outcome::duplicate;
    search.key = value;
  }

  static void in_headers(const Exchange& exchange, Search& search) {
    for (const http::Header& header : exchange.request().headers) {
      if (plugin::same_header(header.name, search.name)) note(search, Search::Outcome::found, header.value);
    }
  }

  static void in_query(const Exchange& exchange, Search& search) {
    std::string_view rest = exchange.request().query;
    while (const std::optional<plugin::Argument> argument = plugin::next_argument(rest)) {
      if (!plugin::decodes_to(argument->name, search.name)) continue;
      if (argument->has_value) {
        note(search, Search::Outcome::found, plugin::decoded(argument->value, exchange.arena()));
      } else {
        note(search, Search::Outcome::valueless, {});
      }
    }
  }

  static void in_body(const Exchange& exchange, const Body& body, Search& search) {
    const std::optional<BodyKey> found = find_in_body(body.type, body.text, search.name);
    if (!found) return;
    search.outcome = found->duplicate ? Search::Outcome::duplicate : Search::Outcome::found;
    search.key = exchange.request().headers.keep(found->value);
  }

  // Wherever it was found, the name goes from all places.
  void hide(Exchange& exchange, std::string_view name) const {
    http::RequestHead& head = exchange.request();
    head.headers.erase_if([&](const http::Header& header) { return plugin::same_header(header.name, name); });
    exchange.set_upstream_query(plugin::without_argument(exchange.upstream_query, name, exchange.arena()));
  }

  Step fail(Exchange& exchange, std::string_view message) const {
    if (!anonymous_.empty()) return failed(exchange, message);
    return refusal(message);
  }

  Task<Flow> failed(Exchange& exchange, std::string_view message) const {
    if (anonymous_.empty()) co_return refusal(message);
    Task<Result<plugin::Consumers::ConsumerPtr>> finding = consumers_.find(anonymous_);
    const Result<plugin::Consumers::ConsumerPtr> consumer = co_await finding;
    if (!consumer || *consumer == nullptr) {
      log::error("anonymous consumer {} is unknown", anonymous_);
      co_return Flow::error(500, "An unexpected error occurred");
    }
    plugin::authenticate_anonymous(exchange, *consumer);
    co_return Flow::next();
  }

  Flow refusal(std::string_view message) const {
    Flow flow = Flow::error(401, std::string(message));
    flow.get().headers.emplace_back("WWW-Authenticate", challenge_);
    return flow;
  }

  PopulationIndex& keys_;
  plugin::Consumers consumers_;
  const plugin::Services& services_;
  std::vector<std::string> names_;
  std::string anonymous_;
  std::string challenge_;
  bool hide_ = false;
  bool in_header_ = true;
  bool in_query_ = true;
  bool in_body_ = false;
  bool on_preflight_ = true;
};

std::shared_ptr<const entity::Type> keys_entity() {
  using schema::Record;
  auto type = std::make_shared<entity::Type>();
  type->name = "keyauth_credentials";
  type->collection = "key-auths";
  type->nested = "key-auth";
  type->endpoint_key = "key";
  type->unique = {"key"};
  type->foreign = {{"consumer", "consumers", entity::OnDelete::cascade}};
  type->state = entity::State::population;
  type->has_ttl = true;
  type->schema = std::make_shared<const Record>(std::vector<Record::Named>{
      entity::id_field(),
      entity::created_at_field(),
      {"consumer", schema::foreign("consumers").required().on_delete_cascade().describe("Whose key it is.")},
      {"key", schema::string().unique().automatic().optional_said().describe("The key; made up when none is given.")},
      entity::tags_field(),
  });
  return type;
}

}  // namespace

plugin::PluginType type() {
  using schema::Record;
  plugin::PluginType type;
  type.name = "key-auth";
  type.priority = 1250;
  type.phases = plugin::Phase::access;
  type.per_consumer = false;
  type.entities = {keys_entity()};
  const auto flag = [](bool otherwise, const char* sentence) { return schema::boolean().required().default_value(otherwise).describe(sentence); };
  type.schema = std::make_shared<const Record>(std::vector<Record::Named>{
      entity::no_consumer(),
      entity::plugin_protocols(),
      {"config",
       schema::record_of(
           Record({
               {"key_names", schema::array_of(entity::header_name_text()).required().default_value({"apikey"}).describe("Names a key may go by, in order.")},
               {"hide_credentials", flag(false, "Whether the upstream does not see the key.")},
               {"anonymous", schema::string().describe("The consumer, by id or username, of requests that do not authenticate.")},
               {"key_in_header", flag(true, "Whether keys may come in headers.")},
               {"key_in_query", flag(true, "Whether keys may come in the query string.")},
               {"key_in_body", flag(false, "Whether keys may come in the body.")},
               {"run_on_preflight", flag(true, "Whether OPTIONS requests need a key.")},
               {"realm", schema::string().optional_said().describe("What a refusal names as the realm.")},
           }))
           .required()},
  });
  type.make = [](const entity::PluginConfig& row, const plugin::Services& services) -> Result<std::unique_ptr<plugin::Plugin>> {
    return std::unique_ptr<plugin::Plugin>(std::make_unique<KeyAuth>(row.config, services));
  };
  return type;
}

}  // namespace gateway::plugins::key_auth
