#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "store/sqlite/connection.h"
#include "store/sqlite/table.h"
#include "store/store.h"

namespace gateway::store::sqlite {

/// Carries out writes within a transaction the caller has begun, and ends by its commit or, on a refusal or an
/// error, its rollback.
class Writer {
 public:
  /// Nothing, or why not.
  using Check = Result<std::optional<Refusal>>;

  Writer(Connection& connection, const Tables& tables, std::int64_t now) : connection_(connection), tables_(tables), now_(now) {}

  Check apply(const Write& write);

  /// Removes what has expired, at most `limit` rows; returns how many. A row others need stays.
  Result<std::size_t> expire(std::size_t limit);

  /// Drops the oldest lines of the change log. Once per transaction.
  Status prune();

  [[nodiscard]] std::vector<Change>& changes() noexcept { return changes_; }

 private:
  enum class Report { yes, no };
  struct Doomed {
    const Table* table;
    Uuid id;
    Report report;
  };
  struct Plan {
    std::vector<Doomed> rows;  // children before parents
    std::set<std::pair<const Table*, Uuid>> seen;
  };

  Check put(const Table& table, const Write& write);
  Check check_unique(const Table& table, const Write& write, const Row& row);
  Check check_parents(const Table& table, const Write& write, const Row& row);

  Check remove(const Table& table, const Uuid& id, Report report);
  Check collect(const Table& table, const Uuid& id, Report report, Plan& plan);
  Status erase(const Doomed& doomed);

  /// Whether a row other than `id` has `value` in the column; one that has expired makes room.
  Result<bool> held(const Table& table, std::string_view sql, std::string_view value, const Uuid& id);
  Result<bool> present(const Table& table, const Uuid& id);  ///< expired or not
  Result<bool> alive(const Table& table, const Uuid& id);
  Status log(const Table& table, const Uuid& id, Json before, Json after);

  Connection& connection_;
  const Tables& tables_;
  std::int64_t now_;
  std::vector<Change> changes_;
};

}  // namespace gateway::store::sqlite
