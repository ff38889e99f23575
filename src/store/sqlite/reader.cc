#include "store/sqlite/reader.h"

#include <fmt/format.h>

#include <algorithm>

namespace gateway::store::sqlite {
namespace {

std::int64_t clamped(std::size_t size) { return static_cast<std::int64_t>(std::min<std::size_t>(size, 1'000'000'000)); }

}  // namespace

Result<std::optional<Json>> Reader::get(const entity::Type& type, const Uuid& id) {
  const Result<const Table*> table = tables_.find(type.name);
  if (!table) return table.error();
  return read(connection_, **table, id, now_);
}

Result<std::optional<Json>> Reader::find(const entity::Type& type, std::string_view field, std::string_view value) {
  const Result<const Table*> table = tables_.find(type.name);
  if (!table) return table.error();
  const auto& unique = (*table)->type->unique;
  if (std::find(unique.begin(), unique.end(), field) == unique.end()) {
    return invalid(fmt::format("looking up {}: its field {} is not unique", type.name, field));
  }
  return find_by(**table, Table::unique_column(field), value);
}

Result<std::optional<Json>> Reader::find_by_cache_key(const entity::Type& type, const Json& key) {
  const Result<const Table*> table = tables_.find(type.name);
  if (!table) return table.error();
  if ((*table)->type->cache_key.empty()) return invalid(fmt::format("looking up {}: it has no composite key", type.name));
  const Result<std::string> text = cache_key_text(*(*table)->type, key);
  if (!text) return text.error();
  return find_by(**table, "cache_key", *text);
}

Result<std::optional<Json>> Reader::find_by(const Table& table, std::string_view column, std::string_view value) {
  Statement statement(connection_, fmt::format("SELECT document, expires_at FROM {} WHERE {} = ?", table.name, column), value);
  const Result<bool> row = statement.step();
  if (!row) return row.error();
  if (!*row || statement.maybe_integer(1).value_or(now_ + 1) <= now_) return std::optional<Json>();
  Result<Json> document = document_of(statement, 0, now_);
  if (!document) return document.error();
  return std::optional<Json>(std::move(*document));
}

Result<Page> Reader::page(const entity::Type& type, const PageRequest& request) {
  const Result<const Table*> table = tables_.find(type.name);
  if (!table) return table.error();
  const auto& foreign = (*table)->type->foreign;
  const bool below = !request.parent_field.empty();
  if (below && std::none_of(foreign.begin(), foreign.end(), [&](const auto& each) { return each.field == request.parent_field; })) {
    return invalid(fmt::format("listing {}: its field {} is no reference", type.name, request.parent_field));
  }

  std::string sql = fmt::format("SELECT id, document, expires_at FROM {} WHERE (expires_at IS NULL OR expires_at > ?)", (*table)->name);
  if (request.after) sql += " AND id > ?";
  if (below) sql += fmt::format(" AND {} = ?", Table::foreign_column(request.parent_field));
  if (!request.tags.empty() && request.tags_mode == PageRequest::Tags::any) {
    sql += " AND id IN (SELECT id FROM tags WHERE entity = ? AND tag IN (?";
    for (std::size_t i = 1; i < request.tags.size(); ++i) sql += ", ?";
    sql += "))";
  } else {
    for (std::size_t i = 0; i < request.tags.size(); ++i) sql += " AND id IN (SELECT id FROM tags WHERE entity = ? AND tag = ?)";
  }
  sql += " ORDER BY id LIMIT ?";

  Statement statement(connection_, sql, now_);
  if (request.after) statement.bind(*request.after);
  if (below) statement.bind(request.parent);
  for (std::size_t i = 0; i < request.tags.size(); ++i) {
    if (i == 0 || request.tags_mode == PageRequest::Tags::all) statement.bind(std::string_view(type.name));
    statement.bind(std::string_view(request.tags[i]));
  }
  // One more than asked for tells whether there is a next page. A page of nothing would never come to an end.
  const std::int64_t size = std::max<std::int64_t>(clamped(request.size), 1);
  statement.bind(size + 1);

  Page page;
  Uuid last;
  for (;;) {
    const Result<bool> row = statement.step();
    if (!row) return row.error();
    if (!*row) return page;
    if (static_cast<std::int64_t>(page.rows.size()) == size) {
      page.next = last;
      return page;
    }
    last = statement.uuid(0);
    Result<Json> document = document_of(statement, 1, now_);
    if (!document) return document.error();
    page.rows.push_back(std::move(*document));
  }
}

Result<std::int64_t> Reader::count(const entity::Type& type) {
  const Result<const Table*> table = tables_.find(type.name);
  if (!table) return table.error();
  // The subtrahend is on an index of the rows that expire, which most entities have none of.
  const std::string sql = fmt::format("SELECT (SELECT count(*) FROM {0}) - (SELECT count(*) FROM {0} WHERE expires_at <= ?)", (*table)->name);
  Statement statement(connection_, sql, now_);
  const Result<bool> row = statement.step();
  if (!row) return row.error();
  return statement.integer(0);
}

Result<std::vector<Tagged>> Reader::tagged(std::optional<std::string_view> tag, std::size_t size, std::size_t skip) {
  const std::string sql = fmt::format(
      "SELECT tag, entity, id FROM tags WHERE (expires_at IS NULL OR expires_at > ?){} ORDER BY tag, entity, id LIMIT ? OFFSET ?", tag ? " AND tag = ?" : "");
  Statement statement(connection_, sql, now_);
  if (tag) statement.bind(*tag);
  statement.bind(clamped(size));
  statement.bind(clamped(skip));
  std::vector<Tagged> lines;
  for (;;) {
    const Result<bool> row = statement.step();
    if (!row) return row.error();
    if (!*row) return lines;
    lines.push_back({std::string(statement.text(0)), std::string(statement.text(1)), statement.uuid(2)});
  }
}

Result<std::int64_t> Reader::last_change() {
  Statement statement(connection_, "SELECT seq FROM sqlite_sequence WHERE name = 'changes'");
  const Result<bool> row = statement.step();
  if (!row) return row.error();
  return *row ? statement.integer(0) : 0;
}

Result<std::vector<Change>> Reader::changes_after(std::int64_t sequence, std::size_t limit) {
  // Log and rows as of the same commit.
  Transaction transaction(connection_);
  if (const Status begun = transaction.begin_read(); !begun) return begun.error();
  std::vector<Change> changes;
  Statement statement(connection_, "SELECT sequence, entity, id, before FROM changes WHERE sequence > ? ORDER BY sequence LIMIT ?", sequence, clamped(limit));
  for (;;) {
    const Result<bool> row = statement.step();
    if (!row) return row.error();
    if (!*row) return changes;
    Change change{statement.integer(0), std::string(statement.text(1)), statement.uuid(2), Json(), Json()};
    if (!statement.is_null(3)) {
      change.before = parse_json(statement.text(3));
      if (change.before.is_discarded()) return invalid("reading the change log: a line is no JSON");
    }
    // Entities of another node's plugins may be in the log: what became of them is nothing to this one.
    if (const Result<const Table*> table = tables_.find(change.entity); table) {
      Result<std::optional<Json>> document = read(connection_, **table, change.id, now_);
      if (!document) return document.error();
      if (*document) change.after = std::move(**document);
    }
    changes.push_back(std::move(change));
  }
}

Result<std::int64_t> Reader::counter(std::string_view name) {
  Statement statement(connection_, "SELECT value FROM counters WHERE name = ? AND expires_at > ?", name, now_);
  const Result<bool> row = statement.step();
  if (!row) return row.error();
  return *row ? statement.integer(0) : 0;
}

Result<std::optional<std::string>> Reader::parameter(std::string_view key) {
  Statement statement(connection_, "SELECT value FROM parameters WHERE name = ?", key);
  const Result<bool> row = statement.step();
  if (!row) return row.error();
  if (!*row) return std::optional<std::string>();
  return std::optional<std::string>(statement.text(0));
}

}  // namespace gateway::store::sqlite
