#pragma once

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/listener.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "proxy/connection.h"
#include "proxy/options.h"
#include "proxy/request.h"
#include "proxy/statistics.h"
#include "proxy/stream/server.h"
#include "snapshot/snapshot.h"
#include "telemetry/log_file.h"
#include "tls/server_context.h"
#include "upstream/h2_pool.h"
#include "upstream/pool.h"

namespace gateway::proxy {

/// One thread that serves: its loop, its listeners, its connections on both sides, its snapshot, its log.
class Worker final : tls::CertificateSource {
 public:
  Worker(const Options& options, const net::Resolver::Options& dns, telemetry::LogFile& access_log, telemetry::LogFile& stream_log);
  /// Before listen() with TLS. Errors: what the settings ask of OpenSSL.
  Status prepare_tls();
  ~Worker() override;

  /// Before run().
  void listen(net::ListeningSocket socket, const Listening& how);
  /// The same, for streams.
  void listen(net::ListeningSocket socket, const stream::Listening& how) { streams_.listen(std::move(socket), how); }

  /// Serves until the end of drain() or stop(). The calling thread becomes the worker's.
  void run();

  // From any thread:
  void replace(snapshot::SnapshotPtr next);
  void set_ticket_keys(const tls::TicketKeys& keys);
  /// No new connections; those open end after the answer under way; then run() returns.
  void drain();
  /// Ends everything now; run() returns.
  void stop();
  [[nodiscard]] const Statistics& statistics() const noexcept { return statistics_; }
  [[nodiscard]] Executor& executor() noexcept { return loop_; }

  // From the worker's own thread:
  [[nodiscard]] net::Loop& loop() noexcept { return loop_; }
  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] const snapshot::CurrentSnapshot& snapshot() const noexcept { return snapshot_; }
  [[nodiscard]] upstream::Pool& pool() noexcept { return pool_; }
  [[nodiscard]] upstream::H2Pool& h2_pool() noexcept { return h2_pool_; }
  [[nodiscard]] telemetry::LogBuffer& access_log() noexcept { return log_; }
  [[nodiscard]] net::Resolver& resolver() noexcept { return resolver_; }
  Task<Result<net::SocketAddress>> resolve(const std::string& host, std::uint16_t port, net::Undertaking* waiting) {
    return resolver_.resolve(host, port, waiting);
  }

  [[nodiscard]] const tls::ServerContext& tls() const noexcept { return *tls_; }
  /// "1.1 sluice/1.2.3": how Via names us, for a message that came in this version.
  [[nodiscard]] std::string_view via(http::Version version) const noexcept { return via_[static_cast<std::size_t>(version)]; }

  RequestPtr new_request(Client& client, const plugin::Connection& facts);
  void free_request(Request* request) noexcept;
  /// Frees a connection that has ended.
  void remove(Connection& connection) noexcept;
  [[nodiscard]] std::uint64_t next_serial() noexcept;  ///< of a connection in this process
  void count_request() noexcept { statistics_.requests.add(1); }
  void count_waiting(int change) noexcept { statistics_.waiting.add(change); }

 private:
  void accepted(int descriptor, const net::SocketAddress& peer, const Listening& at);
  [[nodiscard]] const tls::ServerCertificate* certificate_for(std::string_view server_name) const override;
  [[nodiscard]] tls::ServerCertificatePtr usual_certificate() const override { return options_.default_certificate; }
  void end_if_idle();

  const Options& options_;
  const std::array<std::string, 3> via_;  // by http::Version
  net::Loop loop_;
  net::Resolver resolver_;
  upstream::Pool pool_;
  upstream::H2Pool h2_pool_;
  snapshot::CurrentSnapshot snapshot_;
  telemetry::LogBuffer log_;
  std::unique_ptr<tls::ServerContext> tls_;
  std::deque<Listening> places_;
  std::vector<std::unique_ptr<net::Listener>> listeners_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<void*> free_requests_;
  Statistics statistics_;
  stream::Server streams_;
  bool draining_ = false;
  bool told_full_ = false;
};

}  // namespace gateway::proxy
