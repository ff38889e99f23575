#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/uuid.h"

namespace gateway::admin {

/// The token by which a client asks for what comes after a row.
[[nodiscard]] std::string write_offset(const Uuid& last);

/// Nullopt, `why` set, when it is none of ours.
[[nodiscard]] std::optional<Uuid> read_offset(std::string_view token, std::string& why);

[[nodiscard]] std::string percent_encoded(std::string_view text);

}  // namespace gateway::admin
