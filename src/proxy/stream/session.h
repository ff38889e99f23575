#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "net/address.h"
#include "net/ip.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "proxy/options.h"
#include "proxy/statistics.h"
#include "router/stream_table.h"
#include "snapshot/snapshot.h"
#include "telemetry/log_file.h"
#include "tls/server_context.h"

namespace gateway::proxy::stream {

/// What streams use of the worker they live on.
struct Host {
  net::Loop& loop;
  const Options& options;
  const snapshot::CurrentSnapshot& snapshot;
  net::Resolver& resolver;
  const std::unique_ptr<tls::ServerContext>& tls;  ///< there once something listens
  Statistics& statistics;
  std::function<void()> ended;  ///< called when a session has gone
};

/// How sessions begin that come in at one place.
struct Listening {
  net::SocketAddress local;
  bool tls = false;
  bool proxy_protocol = false;
  bool udp = false;
};

// How a session ended, as nginx has it for streams.
inline constexpr unsigned status_ok = 200;
inline constexpr unsigned status_bad_client = 400;
inline constexpr unsigned status_no_route = 500;
inline constexpr unsigned status_bad_upstream = 502;
inline constexpr unsigned status_no_service = 503;

/// What is known of a connection, or of a UDP session: where it comes from, where it goes, what has passed.
///
/// It keeps its route, its service and its plugins, but no snapshot: connections live long, and a snapshot is a whole configuration.
struct Session {
  using Transport = router::StreamQuery::Transport;

  Session(const Host& host, Transport transport, const net::SocketAddress& peer, const net::SocketAddress& local);

  /// Another client, whom a trusted peer speaks for.
  void speak_for(const net::SocketAddress& client);

  /// Chooses route, service and plugins by the configuration as it is now. False: there is no route; `status` says so, and
  /// the log who came.
  bool find_route(const Host& host);
  /// Preread phase of the plugins. What they refuse it with goes into `status`.
  std::optional<plugin::Refusal> preread(const Host& host);
  /// Whether there is somewhere to go. False: as with find_route.
  bool has_service();

  void note_try(const net::SocketAddress& peer, std::chrono::microseconds choosing);
  void try_failed(const Error& error) noexcept;
  /// The last that was tried; null: none.
  [[nodiscard]] const net::SocketAddress* upstream() const noexcept { return tries.empty() ? nullptr : &tries.back().peer; }

  /// At the end: adds its line to the access log, and runs the log phase.
  void record(telemetry::LogBuffer& log, const Host& host) const;

  router::StreamQuery::Transport transport;
  std::string client_ip;  ///< "unix:" for unix sockets
  std::uint16_t client_port;
  std::optional<net::IpAddress> client;
  net::SocketAddress local;
  std::string sni;  ///< empty: none was sent
  std::shared_ptr<const entity::Route> route;
  std::shared_ptr<const snapshot::Upstream> service;
  std::shared_ptr<const plugin::Chain> plugins;  ///< of the route; null: there is none
  std::vector<plugin::Try> tries;
  std::string_view tls_version;  ///< of TLS that ends here; static, like the other
  std::string_view tls_cipher;
  std::uint64_t sent = 0;      ///< bytes to the client
  std::uint64_t received = 0;  ///< bytes from the client
  unsigned status = status_ok;
  Steady::time_point started = Steady::now();

 private:
  [[nodiscard]] std::uint16_t server_port(const Host& host) const;
  [[nodiscard]] plugin::StreamSession facts(const Host& host) const;
  void add_access_line(telemetry::LogBuffer& log, const Host& host) const;
  void log_phase(const Host& host) const;
};

}  // namespace gateway::proxy::stream
