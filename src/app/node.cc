#include "app/node.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "app/all_plugins.h"
#include "app/upstream_feed.h"
#include "entity/types.h"
#include "store/sqlite/sqlite_store.h"
#include "version.h"

namespace gateway::app {
namespace {

Error failed(const std::string& doing, std::error_code code) {
  return Error{boost::system::error_code(code.value(), boost::system::system_category()), Origin::gateway, doing};
}

Error refused(const std::string& why) { return Error{boost::system::errc::make_error_code(boost::system::errc::invalid_argument), Origin::gateway, why}; }

// A gateway holds two descriptors per request: the usual soft limit of 1024 would be met at once.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
  if (limit.rlim_cur < 4096) log::warn("only {} files may be open at once: raise the limit (ulimit -n)", limit.rlim_cur);
}

snapshot::ServiceTrust service_trust(const TlsSettings& settings) {
  snapshot::ServiceTrust trust;
  trust.verify = settings.verify_services;
  trust.verify_depth = settings.service_trust.verify_depth;
  trust.node.system_authorities = settings.service_trust.system;
  trust.node.authorities = settings.service_trust.authorities;
  trust.node.certificate = settings.client_certificate;
  trust.node.versions = settings.service_versions;
  trust.node.ciphers = settings.service_ciphers;
  return trust;
}

// Whom probes trust is whom services are trusted by; whether they look is the upstream's choice.
tls::ClientOptions probe_trust(const TlsSettings& settings) {
  const snapshot::ServiceTrust services = service_trust(settings);
  tls::ClientOptions trust = services.node;
  trust.depth = services.verify_depth;
  return trust;
}

std::string host_name() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

}  // namespace

Node::Node(Settings settings, Sources sources)
    : settings_(std::move(settings)), sources_(std::move(sources)), signals_(control_.io(), SIGTERM, SIGINT, SIGQUIT) {
  signals_.add(SIGHUP);
  signals_.add(SIGUSR1);
}

Node::~Node() {
  // Jobs still queued use what is destroyed after this.
  pool_.reset();
}

Status Node::prepare() {
  Executor::set_current(&control_);
  std::signal(SIGPIPE, SIG_IGN);
  std::error_code error;
  for (const char* folder : {"", "/pids", "/logs"}) {
    std::filesystem::create_directories(settings_.prefix + folder, error);
    if (error) return failed("creating " + settings_.prefix + folder, error);
  }
  Result<std::unique_ptr<telemetry::LogFile>> opened = telemetry::LogFile::open(settings_.proxy_error_log);
  if (!opened) return opened.error();
  error_log_ = std::move(*opened);
  log::set_level(settings_.log_level);
  if (error_log_->enabled()) telemetry::log_errors_to(*error_log_, settings_.json_error_log ? telemetry::LogFormat::json : telemetry::LogFormat::plain);
  opened = telemetry::LogFile::open(settings_.admin_access_log);
  if (!opened) return opened.error();
  admin_log_file_ = std::move(*opened);
  admin_log_.emplace(*admin_log_file_);
  opened = telemetry::LogFile::open(settings_.status_access_log);
  if (!opened) return opened.error();
  status_log_file_ = std::move(*opened);
  status_log_.emplace(*status_log_file_);
  for (const std::string& warning : settings_.values.warnings) log::warn("{}", warning);
  raise_descriptor_limit();
  return {};
}

std::vector<std::shared_ptr<const entity::Type>> Node::entity_types(const std::vector<plugin::PluginType>& plugins) const {
  std::vector<std::pair<std::string, std::shared_ptr<const schema::Record>>> rows;
  for (const plugin::PluginType& type : plugins) rows.emplace_back(type.name, type.schema);
  const auto rules = settings_.traditional_router ? entity::RouteRules::traditional : entity::RouteRules::traditional_compatible;
  std::vector<std::shared_ptr<const entity::Type>> types = {entity::certificates_type(), entity::snis_type(),        entity::ca_certificates_type(),
                                                            entity::services_type(),     entity::routes_type(rules), entity::upstreams_type(),
                                                            entity::targets_type(),      entity::consumers_type(),   entity::plugins_type(rows)};
  for (const plugin::PluginType& plugin : plugins) types.insert(types.end(), plugin.entities.begin(), plugin.entities.end());
  return types;
}

Status Node::open_store() {
  Result<std::unique_ptr<store::Store>> opened = store::sqlite::open(settings_.prefix + "/sluice.db");
  if (!opened) return opened.error();
  store_ = std::move(*opened);
  // Tables of every plugin, whichever run: what was stored under another choice must stay whole.
  std::vector<std::string> unknown;
  const entity::Catalog everything(entity_types(chosen_plugins({"bundled"}, unknown)));
  const Status migrated = store_->migrate(everything);
  if (!migrated) return migrated;
  const Result<std::optional<std::string>> known = store_->parameter("node_id");
  if (!known) return known.error();
  identity_.id = settings_.node_id ? settings_.node_id->to_string() : known->value_or(Uuid::random().to_string());
  identity_.hostname = host_name();
  identity_.version = version;
  return store_->set_parameter("node_id", identity_.id);
}

Status Node::build_configuration() {
  // Before anything is read: what is committed meanwhile is met again.
  const Result<std::int64_t> last = store_->last_change();
  if (!last) return last.error();
  loaded_change_ = *last;
  std::vector<std::string> unknown;
  plugins_ = chosen_plugins(settings_.plugins, unknown);
  if (!unknown.empty()) return refused("setting plugins: no plugin '" + unknown.front() + "' in this build");
  catalog_.emplace(entity_types(plugins_));
  snapshot::PopulationCache::Limits limits;
  limits.ttl = settings_.db_cache_ttl;
  limits.negative_ttl = settings_.db_cache_neg_ttl;
  population_.emplace(*store_, *pool_, *catalog_, limits);
  cluster_counters_.emplace(*store_, *pool_);
  files_.emplace(*pool_);
  services_.emplace(plugin::Services{*population_, local_counters_, *cluster_counters_, *files_, *pool_, identity_});
  const auto flavour = settings_.traditional_router ? router::Flavour::traditional : router::Flavour::traditional_compatible;
  publisher_.emplace(control_, flavour, plugins_, *services_, service_trust(settings_.tls));
  publisher_->subscribe([this](const snapshot::SnapshotPtr& next) { publish(next); });
  // Before the first snapshot is made: its balancers belong in it.
  directory_.emplace(
      control_, data_path_options(settings_).dns,
      [this](const std::string& name, std::shared_ptr<const upstream::Balancer> balancer) { publisher_->set_balancer(name, std::move(balancer)); },
      [this](const Uuid& id) { return publisher_->certificate(id); }, probe_trust(settings_.tls));
  const Status fed = load_upstreams(*store_, *catalog_, *directory_);
  if (!fed) return fed;
  return publisher_->load(*store_, *catalog_);
}

void Node::publish(const snapshot::SnapshotPtr& next) {
  current_ = next;
  for (const auto& plane : planes_) {
    for (const auto& worker : plane->workers()) worker->replace(next);
  }
}

Status Node::start_data_plane() {
  DataPathOptions options = data_path_options(settings_);
  if (!settings_.values.errors.empty()) return refused(settings_.values.errors.front());
  Result<std::unique_ptr<telemetry::LogFile>> access_log = telemetry::LogFile::open(settings_.proxy_access_log);
  if (!access_log) return access_log.error();
  // Without streams nobody writes to it: it need not be opened.
  Result<std::unique_ptr<telemetry::LogFile>> stream_log = telemetry::LogFile::open(settings_.stream_listen.empty() ? "off" : settings_.stream_access_log);
  if (!stream_log) return stream_log.error();
  const auto speaks_tls = [](const Listen& each) { return each.tls; };
  const bool secured = std::any_of(settings_.proxy_listen.begin(), settings_.proxy_listen.end(), speaks_tls) ||
                       std::any_of(settings_.stream_listen.begin(), settings_.stream_listen.end(), speaks_tls);
  if (secured) {
    Result<tls::ServerCertificatePtr> certificate = tls::load_default_certificate(settings_.tls.proxy_certificate);
    if (!certificate) return certificate.error();
    options.proxy.default_certificate = std::move(*certificate);
    options.proxy.tls.sessions = sessions_of(settings_.tls.session_cache_bytes);
  }
  auto plane = std::make_unique<DataPlane>(std::move(options), settings_.workers, std::move(*access_log), std::move(*stream_log));
  DataPlane* before = planes_.empty() ? nullptr : planes_.back().get();
  const Status listening = plane->listen(settings_.proxy_listen, settings_.stream_listen, before);
  if (!listening) return listening;
  for (const auto& worker : plane->workers()) {
    population_->add_worker(worker->executor());
    worker->replace(current_);
    worker->set_ticket_keys(ticket_keys_.keys());
  }
  for (const std::string& each : plane->places()) log::notice("{}", each);
  DataPlane& started = *plane;
  planes_.push_back(std::move(plane));
  started.start([this, &started] { control_.post([this, &started] { worker_ended(started); }); });
  if (before != nullptr) before->drain(settings_.shutdown_timeout);
  return {};
}

Status Node::run(std::function<void()> ready) {
  for (const auto step : {&Node::prepare, &Node::open_store}) {
    const Status done = (this->*step)();
    if (!done) return done;
  }
  pool_.emplace(settings_.blocking_threads);
  for (const auto step : {&Node::build_configuration, &Node::start_interfaces, &Node::start_data_plane}) {
    const Status done = (this->*step)();
    if (done) continue;
    // Threads may be running already: end them before the error is told.
    shut_down(false);
    control_.run();
    return done;
  }
  log::notice("{} is ready: {} workers on {}", product, settings_.workers, net::on_io_uring ? "io_uring" : "epoll");
  wait_for_signal();
  control_.every_second([this] { every_second(); });
  control_.post(std::move(ready));
  control_.run();
  log::notice("{} has ended", product);
  return {};
}

// Clients find theirs after a reload too. Null: `bytes` is zero.
std::shared_ptr<tls::SessionCache> Node::sessions_of(std::size_t bytes) {
  if (bytes == 0) sessions_.reset();
  if (bytes != 0 && (!sessions_ || sessions_->max_bytes() != bytes)) sessions_ = std::make_shared<tls::SessionCache>(bytes);
  return sessions_;
}

void Node::turn_ticket_keys() {
  if (!ticket_keys_.turn(Steady::now())) return;
  for (const auto& plane : planes_) plane->set_ticket_keys(ticket_keys_.keys());
  for (const Secured* each : {admin_tls_.get(), status_tls_.get()}) {
    if (each != nullptr) each->context->set_ticket_keys(ticket_keys_.keys());
  }
}

// Another process may write to the same datastore.
Task<void> Node::follow_others() {
  const Status followed = co_await writer_->follow([this](const std::vector<store::Change>& changes) {
    tell_upstreams(changes, *directory_);
    publisher_->changed(changes);
    // What a row was before is not told: values that were looked up by it would stay.
    population_->clear();
  });
  if (!followed) log::error("{}", followed.error().to_string());
  following_ = false;
}

void Node::every_second() {
  if (seconds_ % settings_.db_update_frequency.count() == 0 && !std::exchange(following_, true)) spawn(follow_others());
  turn_ticket_keys();
  admin_log_->flush();
  status_log_->flush();
  for (const auto& plane : planes_) plane->keep_time();
  constexpr unsigned seconds_between_looks = 10;
  if (seconds_ % seconds_between_looks == 0) beside(giving_back_, [this] { spare_memory_.give_back(); });
  constexpr unsigned seconds_between_expiries = 60;
  if (++seconds_ % seconds_between_expiries != 0) return;
  beside(expiring_, [this] {
    const Status done = store_->expire();
    if (!done) log::error("{}", done.error().to_string());
  });
}

// On the blocking pool, unless it is still at it.
void Node::beside(bool& running, std::function<void()> work) {
  if (std::exchange(running, true)) return;
  pool_->post([this, &running, work = std::move(work)] {
    work();
    control_.post([&running] { running = false; });
  });
}

}  // namespace gateway::app
