#pragma once

#include <optional>
#include <string>
#include <vector>
#include "base/json.h"

#include "app/settings/listen.h"
#include "app/settings/tls.h"
#include "app/settings/values.h"
#include "base/log.h"
#include "base/uuid.h"

namespace gateway::app {

enum class EventBackend { automatic, io_uring, epoll };

/// The node's settings with their types.
struct Settings {
  Values values;  ///< as they were given

  std::string prefix;
  log::Level log_level = log::Level::notice;
  std::string proxy_access_log, proxy_error_log, admin_access_log, status_access_log, stream_access_log;  ///< paths, or "off"
  bool json_access_log = false;
  bool json_error_log = false;
  std::vector<Listen> proxy_listen, stream_listen, admin_listen, status_listen;
  TlsSettings tls;
  unsigned workers = 1;
  unsigned blocking_threads = 4;
  EventBackend event_backend = EventBackend::automatic;
  bool daemon = true;
  std::optional<Uuid> node_id;
  bool traditional_router = false;
  std::vector<std::string> plugins;                           ///< names; "bundled" stands for all
  std::chrono::seconds db_update_frequency{5};                ///< between looks at what others have written
  std::chrono::seconds db_cache_ttl{0}, db_cache_neg_ttl{0};  ///< zero: until it changes
  std::size_t admin_max_body_bytes = 10 << 20;
  std::chrono::milliseconds shutdown_timeout{0};  ///< how long requests in flight may go on; zero: as they like

  /// Every setting as GET / shows it, secrets hidden.
  [[nodiscard]] nlohmann::json shown() const;
  [[nodiscard]] std::string text(const std::string& name) const;
  [[nodiscard]] std::string pid_file() const { return prefix + "/pids/sluice.pid"; }
  [[nodiscard]] std::string environment_file() const { return prefix + "/.sluice_env"; }
};

/// Loads and checks. `settings.values.errors` says what is wrong, each with its place; then nothing else in
/// there is to be used. Creates no file.
[[nodiscard]] Settings load_settings(const Sources& sources);

/// Where the prefix is when nothing says it: /usr/local/sluice for root, ~/.sluice for others.
[[nodiscard]] std::string default_prefix();

}  // namespace gateway::app
