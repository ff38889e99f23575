#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/uuid.h"
#include "entity/type.h"
#include "store/sqlite/connection.h"
#include "store/store.h"

namespace gateway::store::sqlite {

/// Milliseconds since 1970, the unit of every time in the database.
std::int64_t now_milliseconds() noexcept;
/// When something ends that lives for `seconds` from `now`; a time far off when that cannot be counted.
std::int64_t ends_at(std::int64_t now, std::int64_t seconds) noexcept;

/// A document as text, or an error when it is not UTF-8.
Result<std::string> to_text(const Json& document);

/// The table of one entity, and the statements on it. Columns: id, document, expires_at, cache_key, `u_<field>`
/// for each unique field and `f_<field>` for each foreign one. Fields of documents that have no column of their
/// own are never looked at.
struct Table {
  struct Child {
    const Table* table;
    const entity::Foreign* foreign;
  };

  explicit Table(std::shared_ptr<const entity::Type> of);

  std::shared_ptr<const entity::Type> type;
  std::string name;             ///< quoted
  std::vector<Child> children;  ///< foreign fields elsewhere that point here
  std::string get, insert, update, remove;
  std::string holder_of_cache_key;            ///< the live or expired row other than ?2 that holds key ?1
  std::vector<std::string> holder_of_unique;  ///< same, per unique field

  /// A column's quoted name.
  static std::string unique_column(std::string_view field);
  static std::string foreign_column(std::string_view field);
};

/// Of every entity migrated, by name. Does not change after.
class Tables {
 public:
  /// Fails when a type points to one that is not there.
  static Result<Tables> of(const entity::Catalog& catalog);

  [[nodiscard]] Result<const Table*> find(std::string_view entity) const;
  [[nodiscard]] const std::vector<std::unique_ptr<Table>>& all() const noexcept { return tables_; }

 private:
  std::vector<std::unique_ptr<Table>> tables_;  // parents before children
  std::map<std::string, const Table*, std::less<>> by_name_;
};

/// What is written of a document: its text and the values of its columns.
struct Row {
  std::string document;
  std::optional<std::int64_t> expires_at;
  std::optional<std::string> cache_key;
  std::vector<std::optional<std::string>> unique;  ///< in the order of type.unique
  std::vector<std::optional<Uuid>> foreign;        ///< in the order of type.foreign
  std::vector<std::string> tags;

  static Result<Row> of(const entity::Type& type, const Json& document, std::int64_t now);
};

/// The text a composite key is stored and looked up by.
Result<std::string> cache_key_text(const entity::Type& type, const Json& key);

/// The document in column `column`, and when its row expires in the next one: with the `ttl` that is left.
Result<Json> document_of(const Statement& statement, int column, std::int64_t now);

/// What is shown of a row that stays or goes: nullopt when there is none or its time has passed.
Result<std::optional<Json>> read(Connection& connection, const Table& table, const Uuid& id, std::int64_t now);

/// Writes a row and its tags; whether one `exists` with this id is for the caller to know.
Status write_row(Connection& connection, const Table& table, const Uuid& id, const Row& row, bool exists);

}  // namespace gateway::store::sqlite
