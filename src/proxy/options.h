#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "http/h1/request_parser.h"
#include "net/ip.h"
#include "telemetry/access_log.h"
#include "tls/server_context.h"
#include "upstream/pool.h"

namespace gateway::proxy {

/// The answer headers of our own; each may be turned off (setting `headers`).
struct HeaderTokens {
  bool server = true;  ///< Server, on our own answers
  bool via = true;
  bool proxy_latency = true;
  bool upstream_latency = true;
  bool response_latency = true;
  bool upstream_status = false;
  bool request_id = true;
};

/// Bodies of our own error answers: two `%s`, message and request id. Empty: the built-in one.
struct ErrorTemplates {
  std::string json, html, xml, plain;
};

/// How the data path behaves; fixed while the process runs. Source: Kong 3.9 configuration reference.
struct Options {
  http::h1::Limits head;
  std::size_t max_connections = 65536;  ///< per worker; beyond, new ones are closed
  unsigned requests_per_connection = 10000;
  std::chrono::milliseconds head_timeout{60000};  ///< from the first byte to the end of a request head
  std::chrono::milliseconds idle_timeout{75000};  ///< between requests
  std::chrono::milliseconds body_timeout{60000};  ///< between two reads of a request body
  std::chrono::milliseconds send_timeout{60000};  ///< between two writes to the client
  std::uint64_t max_body_bytes = 0;               ///< zero: no limit
  std::size_t max_retry_body_bytes = 65536;       ///< a body up to this size can be sent again to another peer

  HeaderTokens headers;
  bool upstream_request_id = true;  ///< setting `headers_upstream`
  bool debug_header = false;        ///< setting `allow_debug_header`
  std::string product = "sluice";   ///< "sluice/1.2.3" in Server and Via
  std::string error_default_type = "text/plain";
  ErrorTemplates error_templates;

  std::uint32_t http2_streams = 128;  ///< at a time on one connection

  net::CidrSet trusted;  ///< peers whose X-Forwarded-* and real-ip headers count
  bool trust_unix = false;
  std::string real_ip_header = "X-Real-IP";
  bool real_ip_by_proxy_protocol = false;  ///< instead of a header (real_ip_header = proxy_protocol)
  bool real_ip_recursive = false;
  std::unordered_map<std::uint16_t, std::uint16_t> port_maps;  ///< listener port to the port told upstream

  tls::ServerOptions tls;
  tls::ServerCertificatePtr default_certificate;  ///< where no name picks another; null without a TLS listener

  upstream::Pool::Limits keepalive;
  telemetry::LogFormat access_log_format = telemetry::LogFormat::plain;
};

}  // namespace gateway::proxy
