#include "store/sqlite/migration.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "base/log.h"

namespace gateway::store::sqlite {
namespace {

constexpr std::string_view common_tables[] = {
    "CREATE TABLE IF NOT EXISTS layouts (entity TEXT PRIMARY KEY, layout TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS tags (tag TEXT, entity TEXT, id BLOB, expires_at INTEGER, PRIMARY KEY (tag, entity, id)) "
    "WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS tags_by_row ON tags (entity, id)",
    // AUTOINCREMENT: the number of a line is never given again, even when all lines have been pruned.
    "CREATE TABLE IF NOT EXISTS changes (sequence INTEGER PRIMARY KEY AUTOINCREMENT, entity TEXT NOT NULL, "
    "id BLOB NOT NULL, before TEXT)",
    "CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL, expires_at INTEGER NOT NULL) "
    "WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS counters_by_expiry ON counters (expires_at)",
    "CREATE TABLE IF NOT EXISTS parameters (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
};

/// What the columns of an entity's table depend on, to tell whether they have to be made anew.
Json layout_of(const entity::Type& type) {
  Json foreign = Json::object();
  for (const entity::Foreign& each : type.foreign) foreign[each.field] = each.reference;
  return {{"unique", type.unique}, {"cache_key", type.cache_key}, {"foreign", foreign}, {"tags", type.has_tags}};
}

Status check_version(Connection& connection) {
  const Status made = connection.execute("CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID");
  if (!made) return made;
  Statement statement(connection, "SELECT value FROM meta WHERE name = 'schema_version'");
  const Result<bool> row = statement.step();
  if (!row) return row.error();
  if (!*row || statement.integer(0) <= schema_version) return {};
  return invalid(
      fmt::format("migrating: the database has schema version {}, and this gateway knows versions up to {}: it was "
                  "upgraded by a newer gateway",
                  statement.integer(0), schema_version));
}

class TableMigration {
 public:
  TableMigration(Connection& connection, const Table& table) : connection_(connection), table_(table) {}

  Status run() {
    const Json wanted = layout_of(*table_.type);
    Result<Json> present = stored_layout();
    if (!present) return present.error();
    if (*present == wanted) return {};
    const bool is_new = present->is_null();
    if (is_new) {
      const Status done = connection_.execute(
          fmt::format("CREATE TABLE {} (id BLOB PRIMARY KEY NOT NULL, document TEXT NOT NULL, expires_at INTEGER, cache_key TEXT)", table_.name));
      if (!done) return done;
    } else {
      log::notice("datastore: upgrading the table of {}", table_.type->name);
      if (const Status fits = check_references(*present, wanted); !fits) return fits;
      if (const Status done = drop_indexes(); !done) return done;
    }
    if (const Status done = add_columns(); !done) return done;
    if (!is_new) {
      if (const Status done = refill(); !done) return done;
    }
    if (const Status done = create_indexes(); !done) return done;
    return connection_.execute("INSERT OR REPLACE INTO layouts (entity, layout) VALUES (?, ?)", table_.type->name, wanted.dump());
  }

 private:
  Result<Json> stored_layout() {
    Statement statement(connection_, "SELECT layout FROM layouts WHERE entity = ?", table_.type->name);
    const Result<bool> row = statement.step();
    if (!row) return row.error();
    if (!*row) return Json();
    Json layout = parse_json(statement.text(0));
    if (!layout.is_object()) return invalid("migrating: the layout of " + table_.type->name + " is not readable");
    return layout;
  }

  /// SQLite cannot change what a column refers to.
  Status check_references(const Json& present, const Json& wanted) {
    for (const auto& [field, reference] : wanted["foreign"].items()) {
      const Json old = present.value("foreign", Json::object());
      if (old.contains(field) && old[field] != reference) {
        return invalid(fmt::format("migrating {}: field {} refers to another entity than it did", table_.type->name, field));
      }
    }
    return {};
  }

  Result<std::vector<std::string>> names(std::string_view sql, const std::string& argument) {
    Statement statement(connection_, sql, argument);
    std::vector<std::string> found;
    for (;;) {
      const Result<bool> row = statement.step();
      if (!row) return row.error();
      if (!*row) return found;
      found.emplace_back(statement.text(0));
    }
  }

  Status drop_indexes() {
    // Those SQLite made itself for the primary key have no text, and stay.
    const auto indexes = names("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = ?", bare_name());
    if (!indexes) return indexes.error();
    for (const std::string& index : *indexes) {
      if (const Status done = connection_.execute(fmt::format("DROP INDEX \"{}\"", index)); !done) return done;
    }
    return {};
  }

  Status add_columns() {
    const auto present = names("SELECT name FROM pragma_table_info(?)", bare_name());
    if (!present) return present.error();
    // A column that is of no more use must not hold on to parents, or to values that may be used again.
    for (const std::string& column : *present) {
      if (!column.starts_with("u_") && !column.starts_with("f_")) continue;
      const Status done = connection_.execute(fmt::format("UPDATE {0} SET \"{1}\" = NULL WHERE \"{1}\" IS NOT NULL", table_.name, column));
      if (!done) return done;
    }
    const auto add = [&](const std::string& column, const std::string& definition) -> Status {
      for (const std::string& each : *present) {
        if ('"' + each + '"' == column) return {};
      }
      return connection_.execute(fmt::format("ALTER TABLE {} ADD COLUMN {} {}", table_.name, column, definition));
    };
    for (const std::string& field : table_.type->unique) {
      if (const Status done = add(Table::unique_column(field), "TEXT"); !done) return done;
    }
    for (const entity::Foreign& foreign : table_.type->foreign) {
      const std::string definition = fmt::format("BLOB REFERENCES \"rows_{}\" (id) ON DELETE RESTRICT", foreign.reference);
      if (const Status done = add(Table::foreign_column(foreign.field), definition); !done) return done;
    }
    return {};
  }

  /// Sets the columns and tags of all rows as their documents have it.
  Status refill() {
    if (const Status done = connection_.execute("DELETE FROM tags WHERE entity = ?", table_.type->name); !done) return done;
    Uuid last;
    for (bool first = true;; first = false) {
      Uuid id;
      Json document;
      std::optional<std::int64_t> expires_at;
      {
        const std::string sql = fmt::format("SELECT id, document, expires_at FROM {} WHERE id {} ? ORDER BY id LIMIT 1", table_.name, first ? ">=" : ">");
        Statement statement(connection_, sql, last);
        const Result<bool> row = statement.step();
        if (!row) return row.error();
        if (!*row) return {};
        id = last = statement.uuid(0);
        expires_at = statement.maybe_integer(2);
        document = parse_json(statement.text(1));
      }
      if (!document.is_object()) return invalid(fmt::format("migrating {}: row {} is no JSON object", table_.type->name, id.to_string()));
      Result<Row> row = Row::of(*table_.type, document, 0);
      if (!row) return row.error();
      row->expires_at = expires_at;
      if (const Status done = write_row(connection_, table_, id, *row, true); !done) return done;
    }
  }

  Status create_indexes() {
    const auto index = [&](std::string_view kind, std::string_view column) {
      return connection_.execute(
          fmt::format("CREATE {} \"{}_by_{}\" ON {} ({}) WHERE {} IS NOT NULL", kind, bare_name(), unquoted(column), table_.name, column, column));
    };
    if (const Status done = index("INDEX", "expires_at"); !done) return done;
    if (const Status done = index("UNIQUE INDEX", "cache_key"); !done) return done;
    for (const std::string& field : table_.type->unique) {
      if (const Status done = index("UNIQUE INDEX", Table::unique_column(field)); !done) return done;
    }
    for (const entity::Foreign& foreign : table_.type->foreign) {
      const std::string column = Table::foreign_column(foreign.field);
      // With the id: pages below a parent are in its order.
      const Status done = connection_.execute(fmt::format("CREATE INDEX \"{}_by_{}\" ON {} ({}, id)", bare_name(), unquoted(column), table_.name, column));
      if (!done) return done;
    }
    return {};
  }

  static std::string unquoted(std::string_view name) { return std::string(name.starts_with('"') ? name.substr(1, name.size() - 2) : name); }
  [[nodiscard]] std::string bare_name() const { return unquoted(table_.name); }

  Connection& connection_;
  const Table& table_;
};

}  // namespace

Status migrate(Connection& connection, const Tables& tables) {
  Transaction transaction(connection);
  if (const Status begun = transaction.begin_write(); !begun) return begun;
  if (const Status fits = check_version(connection); !fits) return fits;
  for (const std::string_view sql : common_tables) {
    if (const Status done = connection.execute(sql); !done) return done;
  }
  for (const auto& table : tables.all()) {
    if (const Status done = TableMigration(connection, *table).run(); !done) return done;
  }
  const Status done = connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('schema_version', ?)", schema_version);
  if (!done) return done;
  return transaction.commit();
}

}  // namespace gateway::store::sqlite
