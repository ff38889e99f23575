#include "telemetry/stream_log.h"

#include "telemetry/line_writer.h"

namespace gateway::telemetry {
namespace {

// More than all the fixed text, dates and numbers of a line, whatever its format.
constexpr std::size_t fixed_part = 512;

// "12.034"
char* seconds(char* out, std::chrono::milliseconds duration) noexcept {
  out = line::number(out, duration.count() / 1000);
  *out++ = '.';
  const auto rest = static_cast<unsigned>(duration.count() % 1000);
  *out++ = static_cast<char>('0' + rest / 100);
  *out++ = static_cast<char>('0' + rest / 10 % 10);
  *out++ = static_cast<char>('0' + rest % 10);
  return out;
}

char* write_basic(char* out, const StreamEntry& entry) noexcept {
  out = line::escaped(out, entry.client_ip.empty() ? std::string_view("-") : entry.client_ip);
  out = line::text(out, " [");
  out = line::text(out, line::time_text(entry.time).access.data());
  out = line::text(out, "] ");
  out = line::text(out, entry.protocol);
  *out++ = ' ';
  out = line::number(out, entry.status);
  *out++ = ' ';
  out = line::number(out, entry.bytes_sent);
  *out++ = ' ';
  out = line::number(out, entry.bytes_received);
  *out++ = ' ';
  out = seconds(out, entry.duration);
  *out++ = '\n';
  return out;
}

char* write_json(char* out, const StreamEntry& entry) noexcept {
  out = line::text(out, "{\"time\":\"");
  out = line::iso_time(out, entry.time);
  *out++ = '"';
  out = line::member(out, "client_ip", entry.client_ip);
  out = line::member(out, "protocol", entry.protocol);
  out = line::number_member(out, "status", entry.status);
  out = line::number_member(out, "bytes_sent", entry.bytes_sent);
  out = line::number_member(out, "bytes_received", entry.bytes_received);
  out = line::number_member(out, "session_ms", entry.duration.count());
  out = line::member(out, "sni", entry.sni);
  out = line::member(out, "service", entry.service);
  out = line::member(out, "route", entry.route);
  out = line::member(out, "upstream", entry.upstream);
  return line::text(out, "}\n");
}

}  // namespace

void append_stream(LogBuffer& log, LogFormat format, const StreamEntry& entry) {
  if (!log.enabled()) return;
  const std::size_t texts =
      entry.client_ip.size() + entry.protocol.size() + entry.sni.size() + entry.service.size() + entry.route.size() + entry.upstream.size();
  if (format == LogFormat::plain) {
    log.commit(write_basic(log.reserve(fixed_part + texts * line::worst_plain), entry));
  } else {
    log.commit(write_json(log.reserve(fixed_part + texts * line::worst_json), entry));
  }
}

}  // namespace gateway::telemetry
