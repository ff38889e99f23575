#include "telemetry/error_log.h"

#include <unistd.h>

#include <atomic>
#include <string>

#include "base/log.h"
#include "telemetry/line_writer.h"

namespace gateway::telemetry {
namespace {

// Global, for a sink is a plain function: any thread may log at any time, also while main() ends.
std::atomic<LogFile*> target{nullptr};
std::atomic<LogFormat> target_format{LogFormat::plain};

constexpr std::size_t fixed_part = 256;

char* write_plain(char* out, log::Level level, std::string_view message) noexcept {
  out = line::text(out, line::time_text(System::now()).error.data());
  out = line::text(out, " [");
  out = line::text(out, log::name(level));
  out = line::text(out, "] ");
  out = line::number(out, getpid());
  out = line::text(out, "#0: ");
  out = line::one_line(out, message);
  *out++ = '\n';
  return out;
}

char* write_json(char* out, log::Level level, std::string_view message) noexcept {
  out = line::text(out, "{\"time\":\"");
  out = line::iso_time(out, System::now());
  out = line::text(out, "\",\"level\":\"");
  out = line::text(out, log::name(level));
  out = line::text(out, "\",\"pid\":");
  out = line::number(out, getpid());
  out = line::text(out, ",\"message\":\"");
  out = line::json(out, message);
  return line::text(out, "\"}\n");
}

void sink(log::Level level, std::string_view message) {
  LogFile* file = target.load(std::memory_order_acquire);
  if (file == nullptr || !file->enabled()) return;
  const bool plain = target_format.load(std::memory_order_relaxed) == LogFormat::plain;
  std::string buffer(fixed_part + message.size() * (plain ? line::worst_plain : line::worst_json), '\0');
  const char* end = plain ? write_plain(buffer.data(), level, message) : write_json(buffer.data(), level, message);
  file->write({buffer.data(), static_cast<std::size_t>(end - buffer.data())});
}

}  // namespace

void log_errors_to(LogFile& file, LogFormat format) noexcept {
  target_format = format;
  target.store(&file, std::memory_order_release);
  log::set_sink(&sink);
}

}  // namespace gateway::telemetry
