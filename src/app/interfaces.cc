// The node's own HTTP interfaces: Admin API and status.

#include <unistd.h>

#include <algorithm>

#include "admin/answers.h"
#include "app/dns_view.h"
#include "app/node.h"
#include "app/upstream_feed.h"
#include "version.h"

namespace gateway::app {
namespace {

Status listen(http::Server& server, const std::vector<Listen>& addresses, const tls::ServerContext* tls, const char* what) {
  for (const Listen& each : addresses) {
    Result<net::ListeningSocket> socket = net::ListeningSocket::open(each.address, each.backlog);
    if (!socket) return socket.error();
    log::notice("{} listens at {}", what, socket->local_address().to_string());
    server.listen(std::move(*socket), each.tls ? tls : nullptr);
  }
  server.start();
  return {};
}

// "https://host:port" of an address: what browsers send as Origin.
std::string origin_of(const std::string& url) {
  const std::size_t scheme = url.find("://");
  return scheme == std::string::npos ? url : url.substr(0, url.find('/', scheme + 3));
}

admin::Manner manner_of(const Settings& settings) {
  admin::Manner manner{false, false, {}};
  const std::vector<std::string> tokens = split_list(settings.text("headers"));
  for (const std::string& each : tokens) {
    using http::equals_ignoring_case;
    if (each == "off" && tokens.size() == 1) return manner;
    manner.server |= equals_ignoring_case(each, "server_tokens") || equals_ignoring_case(each, "Server");
    manner.latency |= equals_ignoring_case(each, "latency_tokens") || equals_ignoring_case(each, "X-Kong-Admin-Latency");
  }
  for (const std::string& each : split_list(settings.text("admin_gui_url"))) manner.gui_origins.push_back(origin_of(each));
  return manner;
}

// How long workers may take to tell what they know: they answer between two requests.
constexpr std::chrono::milliseconds dns_patience{2000};

constexpr const char* build_kind =
#ifdef NDEBUG
    "release";
#else
    "debug";
#endif

}  // namespace

admin::Context Node::admin_context() {
  const auto counts = [this] {
    admin::Counts sum;
    sum.accepted = retired_accepted_;
    sum.requests = retired_requests_;
    for (const auto& plane : planes_) {
      for (const auto& worker : plane->workers()) {
        const proxy::Statistics& each = worker->statistics();
        sum.accepted += each.accepted.get();
        sum.active += each.active.get();
        sum.waiting += each.waiting.get();
        sum.requests += each.requests.get();
      }
    }
    return sum;
  };
  return admin::Context{
      .store = *store_,
      .pool = *pool_,
      .writer = *writer_,
      .catalog = *catalog_,
      .plugins = plugins_,
      .population = *population_,
      .health = *directory_,
      .node = identity_,
      .product = product,
      .counts = counts,
      .ready = [this] { return !planes_.empty() && !ending_; },
      .draining = [this] { return draining_; },
      .manner = [this] { return manner_of(settings_); },
      .configuration =
          [this] {
            nlohmann::json shown = settings_.shown();
            shown["log_level"] = std::string(log::name(log::level()));
            return shown;
          },
      .identity = {{"version", version}, {"store", store_->name()}, {"event_backend", net::on_io_uring ? "io_uring" : "epoll"}, {"build", build_kind}},
      .worker_pids = [this] { return std::vector<int>(settings_.workers, static_cast<int>(::getpid())); },
      .set_log_level = [this](log::Level level, std::chrono::seconds lasting) { set_log_level(level, lasting); },
      .now = [] { return std::chrono::duration<double>(System::now().time_since_epoch()).count(); },
      .new_dns_client = [this] { return settings_.text("new_dns_client") == "on"; },
      .dns =
          [this] {
            static const std::vector<std::unique_ptr<proxy::Worker>> none;
            return names_known(control_, planes_.empty() ? none : planes_.back()->workers(), dns_patience);
          },
  };
}

Task<http::Reply> Node::administer(const http::ServerRequest& request) {
  const Steady::time_point started = Steady::now();
  http::Reply reply = co_await api_->handle(request.head, request.body);
  record(*admin_log_, request, reply, started);
  co_return reply;
}

void Node::record(telemetry::LogBuffer& log, const http::ServerRequest& request, const http::Reply& reply, Steady::time_point started) const {
  if (!log.enabled()) return;
  telemetry::AccessEntry entry;
  entry.client_ip = request.client_ip;
  entry.method = request.head.method;
  entry.target = request.head.target;
  entry.version = request.head.version == http::Version::http_1_0 ? "HTTP/1.0" : "HTTP/1.1";
  entry.status = reply.status;
  entry.body_bytes = reply.body.size();
  entry.user_agent = request.head.headers.value(http::Name::user_agent);
  entry.host = request.head.authority;
  entry.request_ms = std::chrono::duration_cast<std::chrono::milliseconds>(Steady::now() - started).count();
  entry.time = System::now();
  telemetry::append_access(log, settings_.json_access_log ? telemetry::LogFormat::json : telemetry::LogFormat::plain, entry);
}

Task<http::Reply> Node::tell_status(const http::ServerRequest& request) {
  const Steady::time_point started = Steady::now();
  http::Reply reply = co_await status_of(request);
  record(*status_log_, request, reply, started);
  co_return reply;
}

Task<http::Reply> Node::status_of(const http::ServerRequest& request) {
  std::string_view path = request.head.path;
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  if (path == "/status/ready" && request.head.method == "POST") {
    const nlohmann::json body = parse_json(request.body);
    const bool wanted = body.is_object() && body.value("status", nlohmann::json()) == "draining";
    draining_ = draining_ || wanted;
    co_return wanted ? admin::no_content() : admin::message(400, "Bad request");
  }
  co_return co_await status_api_->handle(request.head, request.body);
}

// Null: none of the addresses wants it.
Result<std::unique_ptr<Node::Secured>> Node::secure(const std::vector<Listen>& addresses, const tls::DefaultCertificate& from) {
  if (std::none_of(addresses.begin(), addresses.end(), [](const Listen& each) { return each.tls; })) return std::unique_ptr<Secured>();
  Result<tls::ServerCertificatePtr> certificate = tls::load_default_certificate(from);
  if (!certificate) return certificate.error();
  auto secured = std::make_unique<Secured>(std::move(*certificate));
  Result<std::unique_ptr<tls::ServerContext>> context = tls::ServerContext::make(server_options(settings_.tls), *secured);
  if (!context) return context.error();
  secured->context = std::move(*context);
  secured->context->set_ticket_keys(ticket_keys_.keys());
  return secured;
}

Status Node::start_interfaces() {
  writer_.emplace(*store_, *pool_, loaded_change_, [this](const std::vector<store::Change>& changes) {
    // First, so that one snapshot has both, the upstream and the service that names it.
    tell_upstreams(changes, *directory_);
    publisher_->changed(changes);
    population_->changed(changes);
  });
  api_.emplace(admin_context(), admin::Interface::admin);
  status_api_.emplace(admin_context(), admin::Interface::status);
  http::Server::Options options;
  options.max_body_bytes = settings_.admin_max_body_bytes;
  admin_server_.emplace(control_, options, [this](const http::ServerRequest& request) { return administer(request); });
  status_server_.emplace(control_, options, [this](const http::ServerRequest& request) { return tell_status(request); });
  Result<std::unique_ptr<Secured>> admin_tls = secure(settings_.admin_listen, settings_.tls.admin_certificate);
  if (!admin_tls) return admin_tls.error();
  Result<std::unique_ptr<Secured>> status_tls = secure(settings_.status_listen, settings_.tls.status_certificate);
  if (!status_tls) return status_tls.error();
  admin_tls_ = std::move(*admin_tls);
  status_tls_ = std::move(*status_tls);
  const Status admin = listen(*admin_server_, settings_.admin_listen, admin_tls_ ? admin_tls_->context.get() : nullptr, "admin");
  if (!admin) return admin;
  return listen(*status_server_, settings_.status_listen, status_tls_ ? status_tls_->context.get() : nullptr, "status");
}

}  // namespace gateway::app
