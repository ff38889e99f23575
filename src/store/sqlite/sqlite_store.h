#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "store/store.h"

namespace gateway::store::sqlite {

/// Opens the database file at `path`, creating it (readable by its owner only) when there is none.
/// Several stores, of one process or of several, may have the same file open.
///
/// Sequences of the change log have no gaps, and only its last 100,000 lines are kept: when the first line
/// changes_after() returns is not `sequence + 1`, lines between were pruned and the reader must load afresh.
/// `after` of these lines is the row as it is now; `before` is what the line replaced or removed, for caches by
/// key need to know which key no longer holds.
///
/// Counters survive a crash of the process, but not necessarily one of the machine; all else does.
Result<std::unique_ptr<Store>> open(const std::string& path);

}  // namespace gateway::store::sqlite
