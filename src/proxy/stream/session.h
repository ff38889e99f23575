#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

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
/// It keeps its route and its service, but no snapshot: connections live long, and a snapshot is a whole configuration.
struct Session {
  using Transport = router::StreamQuery::Transport;

  Session(const Host& host, Transport transport, const net::SocketAddress& peer, const net::SocketAddress& local);

  /// Another client, whom a trusted peer speaks for.
  void speak_for(const net::SocketAddress& client);

  /// Chooses route and service by the configuration as it is now. False: `status` says what is missing, the log who came.
  bool find_route(const Host& host);

  /// Adds its line to the access log.
  void record(telemetry::LogBuffer& log, const Host& host) const;

  router::StreamQuery::Transport transport;
  std::string client_ip;  ///< "unix:" for unix sockets
  std::uint16_t client_port;
  std::optional<net::IpAddress> client;
  net::SocketAddress local;
  std::string sni;  ///< empty: none was sent
  std::shared_ptr<const entity::Route> route;
  std::shared_ptr<const snapshot::Upstream> service;
  std::optional<net::SocketAddress> upstream;  ///< the last that was tried
  std::uint64_t sent = 0;                      ///< bytes to the client
  std::uint64_t received = 0;                  ///< bytes from the client
  unsigned status = status_ok;
  Steady::time_point started = Steady::now();
};

}  // namespace gateway::proxy::stream
