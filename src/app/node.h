#pragma once

#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <list>
#include <memory>
#include <optional>

#include "admin/api.h"
#include "app/cluster_counters.h"
#include "app/data_plane.h"
#include "app/file_appender.h"
#include "app/settings/settings.h"
#include "base/blocking_pool.h"
#include "base/spare_memory.h"
#include "entity/type.h"
#include "http/server/server.h"
#include "net/loop.h"
#include "plugin/local_counters.h"
#include "snapshot/population_cache.h"
#include "snapshot/publisher.h"
#include "store/store.h"
#include "telemetry/access_log.h"
#include "telemetry/error_log.h"
#include "tls/server_context.h"
#include "upstream/directory.h"

namespace gateway::app {

/// A running gateway: the one place where everything is built and wired. The thread that calls run() becomes
/// the control thread.
class Node {
 public:
  Node(Settings settings, Sources sources);
  ~Node();

  /// Serves until a signal ends it. `ready` is called once requests are answered. Errors: it could not start.
  Status run(std::function<void()> ready);

 private:
  Status prepare();
  Status open_store();
  Status build_configuration();
  Status start_data_plane();
  Status start_interfaces();
  std::vector<std::shared_ptr<const entity::Type>> entity_types(const std::vector<plugin::PluginType>& plugins) const;
  admin::Context admin_context();
  Task<http::Reply> administer(const http::ServerRequest& request);
  Task<http::Reply> tell_status(const http::ServerRequest& request);
  Task<http::Reply> status_of(const http::ServerRequest& request);
  void record(telemetry::LogBuffer& log, const http::ServerRequest& request, const http::Reply& reply, Steady::time_point started) const;

  void wait_for_signal();
  void on_signal(int number);
  void reload();
  void take_new_settings();
  void reopen_logs();
  void set_log_level(log::Level level, std::chrono::seconds lasting);
  void shut_down(bool gracefully);
  void end_if_idle();
  void worker_ended(DataPlane& plane);
  void publish(const snapshot::SnapshotPtr& next);
  void every_second();
  void beside(bool& running, std::function<void()> work);
  void turn_ticket_keys();
  std::shared_ptr<tls::SessionCache> sessions_of(std::size_t bytes);
  Task<void> follow_others();

  /// What an interface of the node's own speaks TLS with: one certificate for every name.
  struct Secured final : tls::CertificateSource {
    explicit Secured(tls::ServerCertificatePtr shown) : certificate(std::move(shown)) {}
    [[nodiscard]] const tls::ServerCertificate* certificate_for(std::string_view /*server_name*/) const override { return certificate.get(); }
    [[nodiscard]] tls::ServerCertificatePtr usual_certificate() const override { return certificate; }
    tls::ServerCertificatePtr certificate;
    std::unique_ptr<tls::ServerContext> context;
  };
  Result<std::unique_ptr<Secured>> secure(const std::vector<Listen>& addresses, const tls::DefaultCertificate& from);

  Settings settings_;
  Sources sources_;
  net::Loop control_;
  boost::asio::signal_set signals_;
  boost::asio::steady_timer level_timer_{control_.io()};  // when the configured log level comes back
  std::unique_ptr<telemetry::LogFile> error_log_;
  std::unique_ptr<telemetry::LogFile> admin_log_file_;
  std::unique_ptr<telemetry::LogFile> status_log_file_;
  std::optional<telemetry::LogBuffer> admin_log_;
  std::optional<telemetry::LogBuffer> status_log_;
  plugin::Node identity_;
  std::optional<BlockingPool> pool_;
  std::unique_ptr<store::Store> store_;
  std::optional<entity::Catalog> catalog_;
  std::vector<plugin::PluginType> plugins_;
  std::optional<snapshot::PopulationCache> population_;
  plugin::ShardedCounters local_counters_;
  std::optional<ClusterCounters> cluster_counters_;
  std::optional<FileAppender> files_;
  std::optional<plugin::Services> services_;
  std::optional<snapshot::Publisher> publisher_;
  std::optional<upstream::Directory> directory_;
  std::optional<admin::Writer> writer_;
  std::optional<admin::Api> api_;
  std::optional<admin::Api> status_api_;
  std::unique_ptr<Secured> admin_tls_;
  std::unique_ptr<Secured> status_tls_;
  std::optional<http::Server> admin_server_;
  std::optional<http::Server> status_server_;
  std::shared_ptr<tls::SessionCache> sessions_;    // of clients without tickets
  tls::TicketKeyRing ticket_keys_{Steady::now()};  // of all listeners
  std::list<std::unique_ptr<DataPlane>> planes_;   // the last one takes new connections
  snapshot::SnapshotPtr current_;
  std::int64_t retired_accepted_ = 0;  // of planes that have gone
  std::int64_t retired_requests_ = 0;
  unsigned seconds_ = 0;
  bool draining_ = false;  // told through the status interface
  bool ending_ = false;
  bool expiring_ = false;
  SpareMemory spare_memory_;
  bool giving_back_ = false;
  bool following_ = false;
  std::int64_t loaded_change_ = 0;  // the last one before the configuration was read
};

}  // namespace gateway::app
