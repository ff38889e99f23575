#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace gateway::plugins::key_auth {

/// What a body says under a name.
struct BodyKey {
  std::string value;
  bool duplicate = false;
};

/// Looks in a form, a JSON object or multipart/form-data; nullopt: not there, or a body of another kind.
[[nodiscard]] std::optional<BodyKey> find_in_body(std::string_view content_type, std::string_view body, std::string_view name);

/// The body without that name, in the same encoding; nullopt when there is nothing to take out.
[[nodiscard]] std::optional<std::string> without_key(std::string_view content_type, std::string_view body, std::string_view name);

}  // namespace gateway::plugins::key_auth
