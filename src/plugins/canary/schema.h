#pragma once

#include <memory>

#include "schema/record.h"

namespace gateway::plugins::canary {

[[nodiscard]] std::shared_ptr<const schema::Record> schema();

}  // namespace gateway::plugins::canary
