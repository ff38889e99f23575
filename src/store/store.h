#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>
#include "base/json.h"

#include "base/result.h"
#include "base/uuid.h"
#include "entity/type.h"

namespace gateway::store {

/// Rows of one entity in ascending order of id.
struct PageRequest {
  std::size_t size = 100;
  std::optional<Uuid> after;  ///< the last id of the page before
  std::string parent_field;   ///< only rows whose foreign field `parent_field` is `parent`; empty: all
  Uuid parent;
  std::vector<std::string> tags;
  enum class Tags { all, any } tags_mode = Tags::all;
};

struct Page {
  std::vector<Json> rows;
  std::optional<Uuid> next;  ///< `after` of the next page; nullopt on the last
};

enum class Operation { insert, update, upsert, remove };

/// One row to write. `document` is whole and validated; ignored by remove.
struct Write {
  Operation operation;
  const entity::Type* type;
  Uuid id;
  Json document;
};

/// One line of the change log. `before` is null for a creation, `after` for a removal.
struct Change {
  std::int64_t sequence = 0;
  std::string entity;
  Uuid id;
  Json before;
  Json after;
};

/// Why a write was not done; the Admin API turns it into Kong's error object.
struct Refusal {
  enum class Reason {
    primary_key,       ///< insert of an id that exists
    unique,            ///< `fields`: the key that is taken, all of a composite one
    missing_parent,    ///< `fields`: {"service": {"id": ...}}; `entity`: the parent's name
    still_referenced,  ///< `entity`: the child's name
    not_found,         ///< update of an id that does not exist
  };
  Reason reason;
  std::string entity;
  Json fields;
};

using Outcome = std::variant<std::vector<Change>, Refusal>;

/// The tag view of the Admin API: one line per tag and entity.
struct Tagged {
  std::string tag;
  std::string entity;
  Uuid id;
};

/// A datastore. Calls block and may come from any thread of the blocking pool, several at a time.
///
/// Meant to fit SQLite, PostgreSQL and Cassandra alike: no joins, pages by cursor, writes of a handful of
/// rows that happen together or not at all, and a change log in commit order that other nodes can follow.
/// Errors: the database failed; nothing of the call was done, or (only when the connection was lost while
/// committing) it is unknown.
class Store {
 public:
  virtual ~Store() = default;

  [[nodiscard]] virtual std::string_view name() const noexcept = 0;  ///< "sqlite"

  /// Creates or upgrades the tables for these entities. Called once, before anything else.
  virtual Status migrate(const entity::Catalog& catalog) = 0;

  virtual Result<std::optional<Json>> get(const entity::Type& type, const Uuid& id) = 0;
  /// `field` must be one of the type's unique fields.
  virtual Result<std::optional<Json>> find(const entity::Type& type, std::string_view field, std::string_view value) = 0;
  /// By a composite key: `key` holds every field of type.cache_key.
  virtual Result<std::optional<Json>> find_by_cache_key(const entity::Type& type, const Json& key) = 0;
  virtual Result<Page> page(const entity::Type& type, const PageRequest& request) = 0;
  virtual Result<std::int64_t> count(const entity::Type& type) = 0;
  virtual Result<std::vector<Tagged>> tagged(std::optional<std::string_view> tag, std::size_t size, std::size_t skip) = 0;

  /// All or nothing, durable when it returns. Cascading removals are part of it and of its changes.
  virtual Result<Outcome> write(std::span<const Write> writes) = 0;

  virtual Result<std::int64_t> last_change() = 0;
  /// In order, at most `limit`. Documents are as of now, not as of then: enough to catch up.
  virtual Result<std::vector<Change>> changes_after(std::int64_t sequence, std::size_t limit) = 0;

  /// Adds `by` to a shared counter that ends `ttl` after its first increment; returns the new value.
  virtual Result<std::int64_t> increment(std::string_view counter, std::int64_t by, std::chrono::seconds ttl) = 0;
  virtual Result<std::int64_t> counter(std::string_view counter) = 0;

  /// A value of the node's or cluster's own (its id, its keys).
  virtual Result<std::optional<std::string>> parameter(std::string_view key) = 0;
  virtual Status set_parameter(std::string_view key, std::string_view value) = 0;

  /// Deletes what has outlived its time to live. Called now and then.
  virtual Status expire() = 0;
};

}  // namespace gateway::store
