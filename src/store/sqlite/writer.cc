#include "store/sqlite/writer.h"

#include <fmt/format.h>

namespace gateway::store::sqlite {
namespace {

constexpr std::int64_t kept_changes = 100'000;

const std::optional<Refusal> allowed;

Json key_of(const std::vector<std::string>& fields, const Json& document) {
  Json key = Json::object();
  for (const std::string& field : fields) key[field] = document.contains(field) ? document[field] : Json();
  return key;
}

}  // namespace

Writer::Check Writer::apply(const Write& write) {
  if (write.type == nullptr) return invalid("writing: no type");
  const Result<const Table*> table = tables_.find(write.type->name);
  if (!table) return table.error();
  return write.operation == Operation::remove ? remove(**table, write.id, Report::yes) : put(**table, write);
}

Writer::Check Writer::put(const Table& table, const Write& write) {
  Result<std::optional<Json>> before = read(connection_, table, write.id, now_);
  if (!before) return before.error();
  if (*before && write.operation == Operation::insert) {
    return std::optional(Refusal{Refusal::Reason::primary_key, table.type->name, {{"id", write.id.to_string()}}});
  }
  if (!*before) {
    if (write.operation == Operation::update) {
      return std::optional(Refusal{Refusal::Reason::not_found, table.type->name, {{"id", write.id.to_string()}}});
    }
    // Its id may still be taken by a row that has expired: the new one has nothing to do with it.
    const Result<bool> leftover = present(table, write.id);
    if (!leftover) return leftover.error();
    if (*leftover) {
      Check cleared = remove(table, write.id, Report::no);
      if (!cleared || *cleared) return cleared;
    }
  }
  const Result<Row> row = Row::of(*table.type, write.document, now_);
  if (!row) return row.error();
  if (Check check = check_unique(table, write, *row); !check || *check) return check;
  if (Check check = check_parents(table, write, *row); !check || *check) return check;
  if (const Status done = write_row(connection_, table, write.id, *row, before->has_value()); !done) return done.error();
  if (const Status done = log(table, write.id, std::move(*before).value_or(Json()), write.document); !done) return done.error();
  return allowed;
}

Writer::Check Writer::check_unique(const Table& table, const Write& write, const Row& row) {
  const entity::Type& type = *table.type;
  for (std::size_t i = 0; i < type.unique.size(); ++i) {
    if (!row.unique[i]) continue;
    const Result<bool> taken = held(table, table.holder_of_unique[i], *row.unique[i], write.id);
    if (!taken) return taken.error();
    if (*taken) return std::optional(Refusal{Refusal::Reason::unique, type.name, key_of({type.unique[i]}, write.document)});
  }
  if (row.cache_key) {
    const Result<bool> taken = held(table, table.holder_of_cache_key, *row.cache_key, write.id);
    if (!taken) return taken.error();
    if (*taken) return std::optional(Refusal{Refusal::Reason::unique, type.name, key_of(type.cache_key, write.document)});
  }
  return allowed;
}

Writer::Check Writer::check_parents(const Table& table, const Write& write, const Row& row) {
  const entity::Type& type = *table.type;
  for (std::size_t i = 0; i < type.foreign.size(); ++i) {
    if (!row.foreign[i]) continue;
    const Result<const Table*> parent = tables_.find(type.foreign[i].reference);
    if (!parent) return parent.error();
    const Result<bool> exists = alive(**parent, *row.foreign[i]);
    if (!exists) return exists.error();
    if (!*exists) {
      return std::optional(Refusal{Refusal::Reason::missing_parent, type.foreign[i].reference, key_of({type.foreign[i].field}, write.document)});
    }
  }
  return allowed;
}

Writer::Check Writer::remove(const Table& table, const Uuid& id, Report report) {
  Plan plan;
  Check check = collect(table, id, report, plan);
  if (!check || *check) return check;
  for (const Doomed& doomed : plan.rows) {
    if (const Status done = erase(doomed); !done) return done.error();
  }
  return allowed;
}

Writer::Check Writer::collect(const Table& table, const Uuid& id, Report report, Plan& plan) {
  // A plugin may fall to its service and to its consumer, and rows may point at each other.
  if (!plan.seen.emplace(&table, id).second) return allowed;
  for (const Table::Child& child : table.children) {
    std::vector<std::pair<Uuid, bool>> rows;
    Statement statement(connection_, fmt::format("SELECT id, expires_at FROM {} WHERE {} = ?", child.table->name, Table::foreign_column(child.foreign->field)),
                        id);
    for (;;) {
      const Result<bool> row = statement.step();
      if (!row) return row.error();
      if (!*row) break;
      const bool expired = statement.maybe_integer(1).value_or(now_ + 1) <= now_;
      if (!expired && child.foreign->on_delete == entity::OnDelete::restrict) {
        return std::optional(Refusal{Refusal::Reason::still_referenced, child.table->type->name, {{"id", id.to_string()}}});
      }
      rows.emplace_back(statement.uuid(0), expired);
    }
    for (const auto& [row, expired] : rows) {
      Check check = collect(*child.table, row, expired ? Report::no : report, plan);
      if (!check || *check) return check;
    }
  }
  plan.rows.push_back({&table, id, report});
  return allowed;
}

Status Writer::erase(const Doomed& doomed) {
  Result<std::optional<Json>> before = std::optional<Json>();
  if (doomed.report == Report::yes) {
    // Not found: never there, or expired and of no more interest to anybody.
    before = read(connection_, *doomed.table, doomed.id, now_);
    if (!before) return before.error();
  }
  if (const Status done = connection_.execute("DELETE FROM tags WHERE entity = ? AND id = ?", doomed.table->type->name, doomed.id); !done) {
    return done.error();
  }
  if (const Status done = connection_.execute(doomed.table->remove, doomed.id); !done) return done.error();
  return *before ? log(*doomed.table, doomed.id, std::move(**before), Json()) : Status();
}

Result<bool> Writer::held(const Table& table, std::string_view sql, std::string_view value, const Uuid& id) {
  Uuid holder;
  {
    Statement statement(connection_, sql, value, id);
    const Result<bool> row = statement.step();
    if (!row) return row.error();
    if (!*row) return false;
    if (statement.maybe_integer(1).value_or(now_ + 1) > now_) return true;
    holder = statement.uuid(0);
  }
  const Check removed = remove(table, holder, Report::no);
  if (!removed) return removed.error();
  return removed->has_value();
}

Result<bool> Writer::alive(const Table& table, const Uuid& id) {
  Statement statement(connection_, table.get, id);
  const Result<bool> row = statement.step();
  if (!row) return row.error();
  return *row && statement.maybe_integer(1).value_or(now_ + 1) > now_;
}

Result<bool> Writer::present(const Table& table, const Uuid& id) { return Statement(connection_, table.get, id).step(); }

Status Writer::log(const Table& table, const Uuid& id, Json before, Json after) {
  std::optional<std::string> old;
  if (!before.is_null()) {
    Result<std::string> text = to_text(before);
    if (!text) return text.error();
    old = std::move(*text);
  }
  const Status done = connection_.execute("INSERT INTO changes (entity, id, before) VALUES (?, ?, ?)", table.type->name, id, old);
  if (!done) return done.error();
  changes_.push_back({connection_.last_insert(), table.type->name, id, std::move(before), std::move(after)});
  return {};
}

Status Writer::prune() {
  if (changes_.empty()) return {};
  return connection_.execute("DELETE FROM changes WHERE sequence <= ?", changes_.back().sequence - kept_changes);
}

Result<std::size_t> Writer::expire(std::size_t limit) {
  std::size_t removed = 0;
  for (const auto& table : tables_.all()) {
    if (!table->type->has_ttl) continue;
    std::vector<Uuid> ids;
    {
      Statement statement(connection_, fmt::format("SELECT id FROM {} WHERE expires_at <= ? LIMIT ?", table->name), now_,
                          static_cast<std::int64_t>(limit - removed));
      for (;;) {
        const Result<bool> row = statement.step();
        if (!row) return row.error();
        if (!*row) break;
        ids.push_back(statement.uuid(0));
      }
    }
    for (const Uuid& id : ids) {
      const Check check = remove(*table, id, Report::no);
      if (!check) return check.error();
      if (!*check) ++removed;
    }
  }
  return removed;
}

}  // namespace gateway::store::sqlite
