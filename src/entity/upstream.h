#pragma once

#include <memory>

#include "schema/record.h"

namespace gateway::entity {

// Kong 3.9 entities `upstreams` and `targets`, as /schemas tells them. Clients fill in the defaults of every kind of
// entity before they look at what a node holds, so these are told by a node that holds none.

[[nodiscard]] std::shared_ptr<const schema::Record> upstream_schema();
[[nodiscard]] std::shared_ptr<const schema::Record> target_schema();

}  // namespace gateway::entity
