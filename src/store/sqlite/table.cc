#include "store/sqlite/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace gateway::store::sqlite {
namespace {

std::string quoted(std::string_view prefix, std::string_view name) { return fmt::format("\"{}{}\"", prefix, name); }

const Json& field_of(const Json& document, const std::string& field) {
  static const Json null;
  const auto found = document.find(field);
  return found == document.end() ? null : *found;
}

Result<std::optional<std::string>> column_text(const Json& value) {
  if (value.is_null()) return std::optional<std::string>();
  if (value.is_string()) return std::optional<std::string>(value.get_ref<const std::string&>());
  Result<std::string> text = to_text(value);
  if (!text) return text.error();
  return std::optional<std::string>(std::move(*text));
}

Result<std::optional<Uuid>> foreign_id(const entity::Type& type, const std::string& field, const Json& value) {
  if (value.is_null()) return std::optional<Uuid>();
  if (value.is_object()) {
    const Json& id = field_of(value, "id");
    if (id.is_string()) {
      if (const auto parsed = Uuid::parse(id.get_ref<const std::string&>())) return parsed;
    }
  }
  return invalid(fmt::format("storing {}: field {} is not a reference", type.name, field));
}

Status set_tags(Connection& connection, const Table& table, const Uuid& id, const Row& row) {
  for (const std::string& tag : row.tags) {
    const Status done =
        connection.execute("INSERT OR IGNORE INTO tags (tag, entity, id, expires_at) VALUES (?, ?, ?, ?)", tag, table.type->name, id, row.expires_at);
    if (!done) return done.error();
  }
  return {};
}

}  // namespace

std::int64_t now_milliseconds() noexcept {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::int64_t ends_at(std::int64_t now, std::int64_t seconds) noexcept {
  constexpr std::int64_t longest = 3'000'000'000;  // about a century
  return now + std::clamp<std::int64_t>(seconds, -longest, longest) * 1000;
}

Result<std::string> to_text(const Json& document) {
  try {
    return document.dump();
  } catch (const Json::exception& failure) {
    return invalid(fmt::format("writing a document: {}", failure.what()));
  }
}

std::string Table::unique_column(std::string_view field) { return quoted("u_", field); }
std::string Table::foreign_column(std::string_view field) { return quoted("f_", field); }

Table::Table(std::shared_ptr<const entity::Type> of) : type(std::move(of)), name(quoted("rows_", type->name)) {
  std::vector<std::string> columns = {"document", "expires_at", "cache_key"};
  for (const std::string& field : type->unique) columns.push_back(unique_column(field));
  for (const entity::Foreign& foreign : type->foreign) columns.push_back(foreign_column(foreign.field));

  // In both statements the id comes last, so that one piece of code binds either.
  std::string marks(columns.size() * 2, '?');
  for (std::size_t i = 1; i < marks.size(); i += 2) marks[i] = ',';
  get = fmt::format("SELECT document, expires_at FROM {} WHERE id = ?", name);
  insert = fmt::format("INSERT INTO {} ({}, id) VALUES ({}?)", name, fmt::join(columns, ", "), marks);
  update = fmt::format("UPDATE {} SET {} = ? WHERE id = ?", name, fmt::join(columns, " = ?, "));
  remove = fmt::format("DELETE FROM {} WHERE id = ?", name);
  const auto holder = [&](const std::string& column) { return fmt::format("SELECT id, expires_at FROM {} WHERE {} = ? AND id <> ?", name, column); };
  holder_of_cache_key = holder("cache_key");
  for (const std::string& field : type->unique) holder_of_unique.push_back(holder(unique_column(field)));
}

Result<Tables> Tables::of(const entity::Catalog& catalog) {
  Tables tables;
  for (const auto& type : catalog.types()) {
    tables.tables_.push_back(std::make_unique<Table>(type));
    tables.by_name_.emplace(type->name, tables.tables_.back().get());
  }
  for (const auto& table : tables.tables_) {
    for (const entity::Foreign& foreign : table->type->foreign) {
      const auto parent = std::find_if(tables.tables_.begin(), tables.tables_.end(), [&](const auto& other) { return other->type->name == foreign.reference; });
      if (parent == tables.tables_.end()) {
        return invalid(fmt::format("migrating {}: its field {} refers to {}, which is no entity", table->type->name, foreign.field, foreign.reference));
      }
      (*parent)->children.push_back({table.get(), &foreign});
    }
  }
  return tables;
}

Result<const Table*> Tables::find(std::string_view entity) const {
  const auto found = by_name_.find(entity);
  if (found == by_name_.end()) return invalid(fmt::format("using {}: it has no table", entity));
  return found->second;
}

Result<Row> Row::of(const entity::Type& type, const Json& document, std::int64_t now) {
  if (!document.is_object()) return invalid(fmt::format("storing {}: the document is no object", type.name));
  Row row;
  for (const std::string& field : type.unique) {
    Result<std::optional<std::string>> value = column_text(field_of(document, field));
    if (!value) return value.error();
    row.unique.push_back(std::move(*value));
  }
  for (const entity::Foreign& foreign : type.foreign) {
    const Result<std::optional<Uuid>> id = foreign_id(type, foreign.field, field_of(document, foreign.field));
    if (!id) return id.error();
    row.foreign.push_back(*id);
  }
  if (!type.cache_key.empty()) {
    Result<std::string> key = cache_key_text(type, document);
    if (!key) return key.error();
    row.cache_key = std::move(*key);
  }
  if (const Json& tags = field_of(document, "tags"); type.has_tags && tags.is_array()) {
    for (const Json& tag : tags) {
      if (tag.is_string()) row.tags.push_back(tag.get<std::string>());
    }
  }
  const Json* stored = &document;
  Json without_ttl;
  if (const Json& ttl = field_of(document, "ttl"); type.has_ttl && ttl.is_number() && ttl.get<double>() > 0) {
    // What is left of it changes all the time: the column says when, reading says how much.
    row.expires_at = ends_at(now, static_cast<std::int64_t>(std::min(ttl.get<double>(), 1e12)));
    without_ttl = document;
    without_ttl["ttl"] = nullptr;
    stored = &without_ttl;
  }
  Result<std::string> text = to_text(*stored);
  if (!text) return text.error();
  row.document = std::move(*text);
  return row;
}

Result<std::string> cache_key_text(const entity::Type& type, const Json& key) {
  if (!key.is_object()) return invalid(fmt::format("looking up {}: the key is no object", type.name));
  Json values = Json::array();
  for (const std::string& field : type.cache_key) {
    const Json& value = field_of(key, field);
    const bool is_foreign = std::any_of(type.foreign.begin(), type.foreign.end(), [&](const auto& each) { return each.field == field; });
    if (is_foreign) {
      // Written one way, however the caller spelled it.
      const Result<std::optional<Uuid>> id = foreign_id(type, field, value);
      if (!id) return id.error();
      values.push_back(*id ? Json((*id)->to_string()) : Json());
    } else {
      values.push_back(value);
    }
  }
  return to_text(values);
}

Result<Json> document_of(const Statement& statement, int column, std::int64_t now) {
  Json document = parse_json(statement.text(column));
  if (!document.is_object()) return invalid("reading a row: its document is no JSON object");
  if (const auto expires_at = statement.maybe_integer(column + 1)) {
    // Rounded up: a row that is still there has something left to live.
    document["ttl"] = std::max<std::int64_t>((*expires_at - now + 999) / 1000, 0);
  }
  return document;
}

Result<std::optional<Json>> read(Connection& connection, const Table& table, const Uuid& id, std::int64_t now) {
  Statement statement(connection, table.get, id);
  const Result<bool> row = statement.step();
  if (!row) return row.error();
  if (!*row || statement.maybe_integer(1).value_or(now + 1) <= now) return std::optional<Json>();
  Result<Json> document = document_of(statement, 0, now);
  if (!document) return document.error();
  return std::optional<Json>(std::move(*document));
}

Status write_row(Connection& connection, const Table& table, const Uuid& id, const Row& row, bool exists) {
  {
    Statement statement(connection, exists ? table.update : table.insert);
    statement.bind(std::string_view(row.document));
    statement.bind(row.expires_at);
    statement.bind(row.cache_key);
    for (const auto& value : row.unique) statement.bind(value);
    for (const auto& value : row.foreign) statement.bind(value);
    statement.bind(id);
    if (const Status done = statement.finish(); !done) return done.error();
  }
  if (!table.type->has_tags) return {};
  if (exists) {
    const Status done = connection.execute("DELETE FROM tags WHERE entity = ? AND id = ?", table.type->name, id);
    if (!done) return done.error();
  }
  return set_tags(connection, table, id, row);
}

}  // namespace gateway::store::sqlite
