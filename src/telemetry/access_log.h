#pragma once

#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "telemetry/log_file.h"

namespace gateway::telemetry {

enum class LogFormat { plain, json };

/// What the access log tells about one request. Texts that are empty are absent.
struct AccessEntry {
  std::string_view client_ip;
  std::string_view user;     ///< of Basic authentication
  std::string_view method;   ///< empty: no request line was understood
  std::string_view target;   ///< as received
  std::string_view version;  ///< "HTTP/1.1"
  unsigned status = 0;
  std::uint64_t body_bytes = 0;  ///< sent to the client, without the head
  std::string_view referer;
  std::string_view user_agent;
  std::string_view request_id;
  std::string_view host;
  std::string_view service;       ///< name or id
  std::string_view route;         ///< name or id
  std::string_view upstream;      ///< "10.0.0.1:80"
  std::int64_t request_ms = 0;    ///< first byte read to last byte sent
  std::int64_t upstream_ms = -1;  ///< to the upstream's head; negative: not proxied
  std::int64_t gateway_ms = 0;    ///< spent in the gateway itself
  System::time_point time{};      ///< the request's end
};

/// Adds one line: Kong's default format (nginx's "combined" and the request id), or a JSON object. Nothing
/// a client sends can end the line or leave its field. No allocation.
void append_access(LogBuffer& log, LogFormat format, const AccessEntry& entry);

}  // namespace gateway::telemetry
