#pragma once

#include <cstdint>
#include <memory>
#include <memory_resource>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "base/uuid.h"
#include "entity/consumer.h"
#include "entity/route.h"
#include "entity/service.h"
#include "http/message.h"
#include "net/address.h"

namespace gateway::plugin {

/// Who authenticated, as later plugins and the log record see it.
struct Credential {
  Uuid id;
  std::string id_text;
  std::optional<Uuid> consumer;
};

/// The request's body, for plugins that must see it whole. Implemented by the proxy.
class BodyReader {
 public:
  virtual ~BodyReader() = default;
  /// Reads the whole body and keeps it for the upstream. The view lives as long as the request.
  /// Errors: too_large beyond `limit` bytes (nothing is lost: the body still goes upstream); malformed.
  virtual Task<Result<std::string_view>> read_all(std::size_t limit) = 0;
  /// What goes upstream instead; Content-Length follows. Only after read_all.
  virtual void replace(std::string body) = 0;
};

/// The facts of the client's connection.
struct Connection {
  std::string_view client_ip;  ///< effective address (trusted_ips, real_ip_header), no port
  std::string_view peer_ip;    ///< who connected
  std::uint16_t client_port = 0;
  std::string_view server_ip;
  std::uint16_t server_port = 0;  ///< of the listener, after port_maps
  bool tls = false;
  std::string_view tls_version;  ///< of the connection; these three are empty without TLS
  std::string_view tls_cipher;
  std::string_view sni;        ///< in lower case; empty too when none was sent
  bool trusted = false;        ///< the peer may speak for others (setting trusted_ips)
  std::uint64_t serial = 0;    ///< of this connection in this process
  std::uint64_t requests = 0;  ///< on this connection, this one included
};

/// Another place for a request than its service. What is left empty is as the service has it.
struct Detour {
  std::string host;                ///< an upstream's name, a host's name or an address
  std::uint16_t port = 0;          ///< 0: the service's
  std::string path;                ///< instead of the one that route and service make
  bool only_when_healthy = false;  ///< where `host` is an upstream: only while it is healthy
};

/// One request on its way through the gateway: what plugins read and change. Lives on one worker.
class Exchange {
 public:
  Exchange(http::RequestHead& request, http::Arena& arena, const Connection& connection)
      : response_headers(arena), request_(request), arena_(arena), connection_(connection) {}
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  /// The request. Its headers are what the upstream will get: change them in access and before.
  [[nodiscard]] http::RequestHead& request() noexcept { return request_; }
  [[nodiscard]] const http::RequestHead& request() const noexcept { return request_; }
  [[nodiscard]] http::Arena& arena() const noexcept { return arena_; }
  [[nodiscard]] const Connection& connection() const noexcept { return connection_; }

  /// Replaces the query string that goes upstream (without '?'); the view must live in the arena.
  void set_upstream_query(std::string_view query) noexcept { upstream_query = query; }

  /// Sends the request elsewhere; the rest of what the service says (protocol, trust, time-outs, retries) holds there too.
  /// `to` lives as long as the request: in the plugin's configuration, or kept. The last plugin to say so counts.
  void set_upstream(const Detour& to) noexcept { detour = &to; }

  /// Keeps an object alive that headers may still point into, to the end of the request.
  void keep(std::shared_ptr<const void> object) {
    if (object) kept_.push_back(std::move(object));
  }

  // Filled in by the proxy, in this order.
  std::string_view request_id;               ///< 32 hex characters
  System::time_point started;                ///< wall clock at the first byte of the head
  const entity::Route* route = nullptr;      ///< after routing; null when none matched
  const entity::Service* service = nullptr;  ///< null when the route has none
  std::string_view upstream_path;            ///< after routing: what the upstream will see, without query
  std::string_view upstream_query;           ///< as request().query until a plugin changes it
  BodyReader* body = nullptr;

  // Set by authentication plugins.
  std::shared_ptr<const entity::Consumer> consumer;
  std::shared_ptr<const Credential> credential;
  bool anonymous = false;

  /// Headers every answer to this request will carry, proxied or our own; no name twice.
  http::Headers response_headers;

  /// correlation-id's value, for header_filter and the log record; empty: none.
  std::string_view correlation_id;
  /// Where the request goes instead of to its service; null: nowhere else.
  const Detour* detour = nullptr;
  /// Groups an authentication plugin vouches for (acl); null: none.
  std::shared_ptr<const std::vector<std::string>> authenticated_groups;

 private:
  http::RequestHead& request_;
  http::Arena& arena_;
  const Connection& connection_;
  std::pmr::vector<std::shared_ptr<const void>> kept_{&arena_};
};

/// One try at reaching a peer, for the log record.
struct Try {
  net::SocketAddress peer;
  System::time_point started;
  std::chrono::microseconds balancer_latency{0};
  unsigned failed_with = 0;  ///< 502 or 504; 0: this one worked
};

/// What happened to a request, complete: for the log phase.
struct Record {
  explicit Record(const Exchange& of) : exchange(of) {}

  const Exchange& exchange;
  unsigned status = 0;
  const http::Headers* response_headers = nullptr;            ///< as sent to the client
  std::uint64_t request_size = 0;                             ///< bytes received: head and body
  std::uint64_t response_size = 0;                            ///< bytes sent: head and body
  std::chrono::milliseconds kong_latency{0};                  ///< until we sent it on, or until we answered ourselves
  std::optional<std::chrono::milliseconds> upstream_latency;  ///< to the upstream's head; nullopt: not proxied
  std::chrono::milliseconds receive_latency{0};               ///< reading the response body
  std::chrono::milliseconds request_latency{0};               ///< first byte read to last byte sent
  enum class Source { upstream, kong } source = Source::kong;
  std::string_view upstream_uri;  ///< path and query sent; empty when not proxied
  unsigned upstream_status = 0;   ///< of the answer that was passed on; 0: none
  const std::pmr::vector<Try>* tries = nullptr;
};

}  // namespace gateway::plugin
