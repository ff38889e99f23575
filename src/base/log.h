#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace gateway::log {

/// Kong's levels, most talkative first (setting log_level).
enum class Level { debug, info, notice, warn, error, crit, alert, emerg };

/// Where finished lines go. Set once at start; must be callable from every thread.
using Sink = void (*)(Level, std::string_view message);

void set_sink(Sink sink) noexcept;     ///< default: stderr
void set_level(Level level) noexcept;  ///< default: notice; may change while running
[[nodiscard]] Level level() noexcept;
[[nodiscard]] bool enabled(Level level) noexcept;
[[nodiscard]] std::string_view name(Level level) noexcept;
bool parse_level(std::string_view text, Level& out) noexcept;

void write(Level level, std::string_view message);

/// Formats only when the level is on. Secrets and bodies never belong in `args`.
template <class... Args>
void at(Level level, fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(level)) write(level, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  at(Level::debug, format, std::forward<Args>(args)...);
}
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  at(Level::info, format, std::forward<Args>(args)...);
}
template <class... Args>
void notice(fmt::format_string<Args...> format, Args&&... args) {
  at(Level::notice, format, std::forward<Args>(args)...);
}
template <class... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  at(Level::warn, format, std::forward<Args>(args)...);
}
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  at(Level::error, format, std::forward<Args>(args)...);
}
template <class... Args>
void crit(fmt::format_string<Args...> format, Args&&... args) {
  at(Level::crit, format, std::forward<Args>(args)...);
}

}  // namespace gateway::log
