#include "telemetry/access_log.h"

#include "telemetry/line_writer.h"

namespace gateway::telemetry {
namespace {

// More than all the fixed text, dates and numbers of a line, whatever its format.
constexpr std::size_t fixed_part = 1024;

std::size_t text_size(const AccessEntry& entry) noexcept {
  return entry.client_ip.size() + entry.user.size() + entry.method.size() + entry.target.size() + entry.version.size() + entry.referer.size() +
         entry.user_agent.size() + entry.request_id.size() + entry.host.size() + entry.service.size() + entry.route.size() + entry.upstream.size();
}

char* value_or_dash(char* out, std::string_view value) noexcept { return line::escaped(out, value.empty() ? std::string_view("-") : value); }

char* write_plain(char* out, const AccessEntry& entry) noexcept {
  out = value_or_dash(out, entry.client_ip);
  out = line::text(out, " - ");
  out = value_or_dash(out, entry.user);
  out = line::text(out, " [");
  out = line::text(out, line::time_text(entry.time).access.data());
  out = line::text(out, "] \"");
  if (entry.method.empty()) {
    *out++ = '-';
  } else {
    out = line::escaped(out, entry.method);
    *out++ = ' ';
    out = line::escaped(out, entry.target);
    *out++ = ' ';
    out = line::escaped(out, entry.version);
  }
  out = line::text(out, "\" ");
  // Three digits always, as nginx: 000 for a request that ended before it had a status.
  if (entry.status < 100) out = line::text(out, entry.status < 10 ? "00" : "0");
  out = line::number(out, entry.status);
  *out++ = ' ';
  out = line::number(out, entry.body_bytes);
  out = line::text(out, " \"");
  out = value_or_dash(out, entry.referer);
  out = line::text(out, "\" \"");
  out = value_or_dash(out, entry.user_agent);
  out = line::text(out, "\" kong_request_id: \"");
  out = value_or_dash(out, entry.request_id);
  return line::text(out, "\"\n");
}

char* write_json(char* out, const AccessEntry& entry) noexcept {
  out = line::text(out, "{\"time\":\"");
  out = line::iso_time(out, entry.time);
  *out++ = '"';
  out = line::member(out, "client_ip", entry.client_ip);
  out = line::member(out, "user", entry.user);
  out = line::member(out, "method", entry.method);
  out = line::member(out, "host", entry.host);
  out = line::member(out, "target", entry.target);
  out = line::member(out, "version", entry.version);
  out = line::number_member(out, "status", entry.status);
  out = line::number_member(out, "body_bytes", entry.body_bytes);
  out = line::member(out, "referer", entry.referer);
  out = line::member(out, "user_agent", entry.user_agent);
  out = line::member(out, "request_id", entry.request_id);
  out = line::member(out, "service", entry.service);
  out = line::member(out, "route", entry.route);
  out = line::member(out, "upstream", entry.upstream);
  out = line::number_member(out, "request_ms", entry.request_ms);
  if (entry.upstream_ms >= 0) out = line::number_member(out, "upstream_ms", entry.upstream_ms);
  out = line::number_member(out, "gateway_ms", entry.gateway_ms);
  return line::text(out, "}\n");
}

}  // namespace

void append_access(LogBuffer& log, LogFormat format, const AccessEntry& entry) {
  if (!log.enabled()) return;
  if (format == LogFormat::plain) {
    log.commit(write_plain(log.reserve(fixed_part + text_size(entry) * line::worst_plain), entry));
  } else {
    log.commit(write_json(log.reserve(fixed_part + text_size(entry) * line::worst_json), entry));
  }
}

}  // namespace gateway::telemetry
