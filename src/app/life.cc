// How a node meets signals: reload, reopening of logs, the two ways to end.

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <fstream>

#include "app/node.h"
#include "app/process.h"

namespace gateway::app {
namespace {

// What does not end by then never will: something is broken, and who waits for the process must not be.
constexpr std::chrono::seconds patience{5};

// systemd tells an old reload from a new one by the time (sd_notify(3)).
std::string reloading_message() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return "RELOADING=1\nMONOTONIC_USEC=" + std::to_string(now.tv_sec * 1'000'000 + now.tv_nsec / 1000);
}

}  // namespace

void Node::wait_for_signal() {
  signals_.async_wait([this](const boost::system::error_code& error, int number) {
    if (error) return;
    on_signal(number);
    wait_for_signal();
  });
}

void Node::on_signal(int number) {
  switch (number) {
    case SIGHUP: return reload();
    case SIGUSR1: return reopen_logs();
    case SIGQUIT: return shut_down(true);
    default: return shut_down(false);
  }
}

void Node::reopen_logs() {
  for (telemetry::LogFile* file : {error_log_.get(), admin_log_file_.get(), status_log_file_.get()}) {
    const Status reopened = file->reopen();
    if (!reopened) log::error("{}", reopened.error().to_string());
  }
  for (const auto& plane : planes_) plane->reopen_log();
  log::notice("log files reopened");
}

void Node::reload() {
  if (ending_) return;
  notify_service_manager(reloading_message());
  take_new_settings();
  notify_service_manager("READY=1");
}

// New workers with the new settings, on the same sockets; the old ones finish what they have begun.
void Node::take_new_settings() {
  // `reload -c` leaves the name of another file there.
  std::ifstream named(settings_.prefix + "/.sluice_conf");
  std::string file;
  if (std::getline(named, file) && !file.empty()) sources_.file = file;
  Settings next = load_settings(sources_);
  data_path_options(next);
  if (!next.values.errors.empty()) {
    for (const std::string& error : next.values.errors) log::error("not reloaded: {}", error);
    return;
  }
  for (const char* fixed : {"prefix", "admin_listen", "status_listen", "database", "plugins", "router_flavor", "event_backend", "blocking_threads",
                            "proxy_error_log", "error_log_format", "admin_access_log", "status_access_log", "db_cache_ttl", "db_cache_neg_ttl"}) {
    if (next.text(fixed) != settings_.text(fixed)) log::warn("the change of '{}' takes effect after a restart", fixed);
  }
  Settings before = std::move(settings_);
  next.prefix = before.prefix;
  next.admin_listen = before.admin_listen;
  next.status_listen = before.status_listen;
  settings_ = std::move(next);
  const Status started = start_data_plane();
  if (!started) {
    log::error("not reloaded: {}", started.error().to_string());
    settings_ = std::move(before);
    return;
  }
  directory_->set_dns(data_path_options(settings_).dns);
  set_log_level(settings_.log_level, {});
  reopen_logs();
  log::notice("reloaded");
}

void Node::set_log_level(log::Level level, std::chrono::seconds lasting) {
  level_timer_.cancel();
  log::set_level(level);
  if (lasting.count() == 0) return;
  level_timer_.expires_after(lasting);
  level_timer_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled) log::set_level(settings_.log_level);
  });
}

void Node::shut_down(bool gracefully) {
  // A second signal, or a less patient one, ends what a graceful end still waits for.
  const bool again = std::exchange(ending_, true);
  log::notice("{}", gracefully && !again ? "ending after the requests in flight" : "ending");
  if (admin_server_) admin_server_->stop();
  if (status_server_) status_server_->stop();
  // Requests in flight may still need to know which peers are well.
  if (directory_ && (!gracefully || again)) directory_->stop([this] { end_if_idle(); });
  notify_service_manager("STOPPING=1");
  for (const auto& plane : planes_) gracefully && !again ? plane->drain(settings_.shutdown_timeout) : plane->stop();
  if (!gracefully || again) {
    if (admin_server_) admin_server_->abort();
    if (status_server_) status_server_->abort();
    control_.every_second([this, left = patience.count()]() mutable {
      if (--left > 0) return;
      // Somebody does not read the answer to an administrative request: no reason to call the end a failure.
      if (planes_.empty()) std::_Exit(EXIT_SUCCESS);
      log::crit("workers did not end");
      std::_Exit(EXIT_FAILURE);
    });
  }
  control_.every_second([this] { end_if_idle(); });
  end_if_idle();
}

void Node::worker_ended(DataPlane& plane) {
  plane.worker_ended();
  if (plane.running() > 0) return;
  for (const auto& worker : plane.workers()) {
    population_->remove_worker(worker->executor());
    retired_accepted_ += worker->statistics().accepted.get();
    retired_requests_ += worker->statistics().requests.get();
  }
  planes_.remove_if([&](const auto& each) { return each.get() == &plane; });
  end_if_idle();
}

void Node::end_if_idle() {
  if (!ending_ || !planes_.empty()) return;
  if (directory_) directory_->stop([this] { end_if_idle(); });
  const bool busy = (admin_server_ && !admin_server_->idle()) || (status_server_ && !status_server_->idle()) || (directory_ && !directory_->idle());
  if (!busy) control_.stop();
}

}  // namespace gateway::app
