#pragma once

#include <cstdint>

#include "base/result.h"
#include "store/sqlite/connection.h"
#include "store/sqlite/table.h"

namespace gateway::store::sqlite {

/// Version of everything but the entities' own columns, which are compared with the types one by one.
inline constexpr std::int64_t schema_version = 1;

/// Makes the database fit these tables; does nothing when it does already. All or nothing. Tables of entities
/// that are no more are left alone, and so is a database that a newer gateway has upgraded: that is an error.
Status migrate(Connection& connection, const Tables& tables);

}  // namespace gateway::store::sqlite
