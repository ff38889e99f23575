#pragma once

#include <memory>

#include "schema/record.h"

namespace gateway::plugins::rate_limiting {

[[nodiscard]] std::shared_ptr<const schema::Record> schema();

}  // namespace gateway::plugins::rate_limiting
