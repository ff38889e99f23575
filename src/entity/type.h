#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>
#include "base/json.h"

namespace gateway::schema {
class Record;
}

namespace gateway::entity {

enum class OnDelete { restrict, cascade };

/// A field that holds another entity's id, as `{"id": "<uuid>"}`.
struct Foreign {
  std::string field;      ///< "service"
  std::string reference;  ///< "services"
  OnDelete on_delete = OnDelete::restrict;
};

/// Where an entity's rows live while the gateway runs (architecture: three kinds of state).
enum class State {
  configuration,  ///< in the snapshot, whole
  population,     ///< in the datastore, read through a cache
};

/// All that stores and the Admin API need to know of an entity; said once, by the entity.
struct Type {
  std::string name;          ///< "keyauth_credentials": datastore and /schemas name
  std::string collection;    ///< "key-auths": first path segment in the Admin API
  std::string nested;        ///< "key-auth": segment below its parents; usually the collection
  std::string endpoint_key;  ///< unique field that may stand for the id in a path; empty: none
  /// Another entity whose endpoint key may stand for this one's id in a path, by the foreign field that points here:
  /// a certificate goes by each of its names. Empty: none.
  std::string named_by_entity;
  std::string named_by_field;
  std::vector<std::string> unique;     ///< fields each unique by itself when not null
  std::vector<std::string> cache_key;  ///< fields unique together, nulls included; empty: none
  std::vector<Foreign> foreign;
  State state = State::configuration;
  bool has_ttl = false;  ///< rows may carry `ttl`: seconds to live, shown as what is left
  bool has_tags = true;
  std::shared_ptr<const schema::Record> schema;
  /// The fields of one document where they depend on it (a plugin's row on its name); null function: always
  /// `schema`. Returns null when the document names no kind there is.
  std::function<std::shared_ptr<const schema::Record>(const nlohmann::json& document)> subschema;
  /// Why subschema() found none: a complaint tree.
  std::function<nlohmann::json(const nlohmann::json& document)> no_subschema;
  /// Translates write-only spellings and sets what one field makes of another, before defaults and
  /// validation. Returns a complaint tree, or null.
  std::function<nlohmann::json(nlohmann::json& document)> prepare;
};

/// Every entity this gateway knows, parents before children.
class Catalog {
 public:
  explicit Catalog(std::vector<std::shared_ptr<const Type>> types) : types_(std::move(types)) {}

  [[nodiscard]] const Type* find(std::string_view name) const;                ///< by datastore name
  [[nodiscard]] const Type* find_collection(std::string_view segment) const;  ///< by Admin path segment
  [[nodiscard]] const std::vector<std::shared_ptr<const Type>>& types() const noexcept { return types_; }

 private:
  std::vector<std::shared_ptr<const Type>> types_;
};

}  // namespace gateway::entity
