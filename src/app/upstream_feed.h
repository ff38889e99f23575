#pragma once

#include <vector>

#include "base/result.h"
#include "entity/type.h"
#include "store/store.h"
#include "upstream/directory.h"

namespace gateway::app {

/// Tells the directory which upstreams and targets there are. Blocks: for the start. Errors: the datastore failed.
Status load_upstreams(store::Store& store, const entity::Catalog& catalog, upstream::Directory& directory);

/// Tells it what was committed.
void tell_upstreams(const std::vector<store::Change>& changes, upstream::Directory& directory);

}  // namespace gateway::app
