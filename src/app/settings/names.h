#pragma once

#include <span>
#include <string_view>

namespace gateway::app {

/// A setting that exists, with its default; "" is unset.
struct Name {
  std::string_view name;
  std::string_view default_text;
  std::string_view choices = {};  ///< comma separated, when only these are valid
};

/// Kong 3.9's names where they say the same thing, and ours.
[[nodiscard]] std::span<const Name> all_names();

/// Prefixes under which any name is taken (directives for nginx in Kong).
[[nodiscard]] std::span<const std::string_view> open_prefixes();

/// Names whose values are never shown.
[[nodiscard]] bool is_secret(std::string_view name);

}  // namespace gateway::app
