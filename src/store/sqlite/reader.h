#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "store/sqlite/connection.h"
#include "store/sqlite/table.h"
#include "store/store.h"

namespace gateway::store::sqlite {

/// The reading half of Store, on one connection and as of one time; see there.
class Reader {
 public:
  Reader(Connection& connection, const Tables& tables, std::int64_t now) : connection_(connection), tables_(tables), now_(now) {}

  Result<std::optional<Json>> get(const entity::Type& type, const Uuid& id);
  Result<std::optional<Json>> find(const entity::Type& type, std::string_view field, std::string_view value);
  Result<std::optional<Json>> find_by_cache_key(const entity::Type& type, const Json& key);
  Result<Page> page(const entity::Type& type, const PageRequest& request);
  Result<std::int64_t> count(const entity::Type& type);
  Result<std::vector<Tagged>> tagged(std::optional<std::string_view> tag, std::size_t size, std::size_t skip);
  Result<std::int64_t> last_change();
  Result<std::vector<Change>> changes_after(std::int64_t sequence, std::size_t limit);
  Result<std::int64_t> counter(std::string_view name);
  Result<std::optional<std::string>> parameter(std::string_view key);

 private:
  Result<std::optional<Json>> find_by(const Table& table, std::string_view column, std::string_view value);

  Connection& connection_;
  const Tables& tables_;
  std::int64_t now_;
};

}  // namespace gateway::store::sqlite
