#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "http/headers.h"

namespace gateway::plugin {

/// One `name=value` of a query string or form, as it came.
struct Argument {
  std::string_view raw;    ///< whole
  std::string_view name;   ///< percent-encoded
  std::string_view value;  ///< percent-encoded
  bool has_value = false;  ///< tells "a=" from "a"
};

/// Takes the first argument off the front; nullopt when none is left.
[[nodiscard]] std::optional<Argument> next_argument(std::string_view& rest) noexcept;

/// Whether percent-encoded text ('+' being a space) says `plain`. No allocation.
[[nodiscard]] bool decodes_to(std::string_view encoded, std::string_view plain) noexcept;

/// Percent escapes and '+' undone; the text itself when there are none.
[[nodiscard]] std::string_view decoded(std::string_view encoded, http::Arena& arena);

/// All arguments but those named `name`, in order and encoded as they came.
[[nodiscard]] std::string_view without_argument(std::string_view query, std::string_view name, http::Arena& arena);

}  // namespace gateway::plugin
