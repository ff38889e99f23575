#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gateway::app {

/// A setting as text, with where it was said: "sluice.conf:12", "environment SLUICE_PREFIX".
struct Value {
  std::string text;
  std::string where;
};

/// Settings by name, merged from all sources; and what was odd on the way.
struct Values {
  std::map<std::string, Value> by_name;
  std::vector<std::string> warnings;  ///< unknown names, deprecated ones
  std::vector<std::string> errors;    ///< each with place and reason

  [[nodiscard]] const Value* find(const std::string& name) const;
};

/// What the command line has to say: a file, and settings that beat all others.
struct Sources {
  std::optional<std::string> file;
  std::map<std::string, std::string> overrides;
};

/// Defaults, then the file, then the environment (SLUICE_* before KONG_*), then the command line.
/// Source: Kong 3.9 configuration loader.
[[nodiscard]] Values load_values(const Sources& sources);

/// One configuration file into `values`; a file that cannot be read is an error in there.
void read_file(const std::string& path, Values& values);

/// "8k", "10m", "1g", "512": bytes.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);

/// "60s", "500ms", "2m", "1h", "1d", "60" (seconds).
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

[[nodiscard]] std::vector<std::string> split_list(std::string_view text);  ///< by commas, trimmed, empty ones left out

}  // namespace gateway::app
