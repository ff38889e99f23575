#include "base/log.h"

#include <array>
#include <atomic>
#include <cstdio>

namespace gateway::log {
namespace {

constexpr std::array<std::string_view, 8> names = {"debug", "info", "notice", "warn", "error", "crit", "alert", "emerg"};

void to_stderr(Level level, std::string_view message) {
  const std::string line = fmt::format("[{}] {}\n", name(level), message);
  std::fwrite(line.data(), 1, line.size(), stderr);
}

std::atomic<Sink> current_sink{&to_stderr};
std::atomic<Level> current_level{Level::notice};

}  // namespace

void set_sink(Sink sink) noexcept { current_sink = sink; }
void set_level(Level level) noexcept { current_level = level; }
Level level() noexcept { return current_level.load(std::memory_order_relaxed); }
bool enabled(Level wanted) noexcept { return wanted >= level(); }
std::string_view name(Level level) noexcept { return names[static_cast<std::size_t>(level)]; }

bool parse_level(std::string_view text, Level& out) noexcept {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == text) {
      out = static_cast<Level>(i);
      return true;
    }
  }
  return false;
}

void write(Level level, std::string_view message) { current_sink.load(std::memory_order_relaxed)(level, message); }

}  // namespace gateway::log
