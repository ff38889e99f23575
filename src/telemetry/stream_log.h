#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "telemetry/access_log.h"
#include "telemetry/log_file.h"

namespace gateway::telemetry {

/// What the access log tells about one connection, or UDP session, of a stream route. Texts that are empty are absent.
struct StreamEntry {
  std::string_view client_ip;
  std::string_view protocol;         ///< "TCP" or "UDP"
  unsigned status = 0;               ///< 200: it was brought to its service; else as nginx has it for streams
  std::uint64_t bytes_sent = 0;      ///< to the client
  std::uint64_t bytes_received = 0;  ///< from the client
  std::chrono::milliseconds duration{0};
  std::string_view sni;
  std::string_view service;   ///< name or id
  std::string_view route;     ///< name or id
  std::string_view upstream;  ///< "10.0.0.1:80", the last that was tried
  System::time_point time{};  ///< the end
};

/// Adds one line: Kong's format `basic`, or a JSON object. Nothing a client sends can end the line or leave its field. No
/// allocation. Source: Kong 3.9, proxy_stream_access_log.
void append_stream(LogBuffer& log, LogFormat format, const StreamEntry& entry);

}  // namespace gateway::telemetry
