#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "app/proxy_options.h"
#include "base/clock.h"
#include "proxy/worker.h"
#include "telemetry/log_file.h"

namespace gateway::app {

/// One set of workers with its sockets and settings. A reload makes the next one on the same sockets, so
/// that no connection is lost between them, and lets this one finish.
class DataPlane {
 public:
  DataPlane(DataPathOptions options, unsigned workers, std::unique_ptr<telemetry::LogFile> access_log, std::unique_ptr<telemetry::LogFile> stream_log);
  ~DataPlane();  ///< the workers must have ended

  /// Opens the addresses, taking over what `before` (may be null) listens at already.
  Status listen(const std::vector<Listen>& addresses, const std::vector<Listen>& streams, const DataPlane* before);
  /// `ended` is called by each worker's thread as its last act.
  void start(std::function<void()> ended);
  /// No new connections; what is in flight may go on for `longest` (zero: as long as it takes).
  void drain(std::chrono::milliseconds longest);
  void stop();
  /// Called about once a second: stops what has been draining for too long.
  void keep_time();
  /// Of workers whose threads have not ended.
  [[nodiscard]] unsigned running() const noexcept { return running_; }
  void worker_ended() noexcept { --running_; }  ///< control thread

  [[nodiscard]] const std::vector<std::unique_ptr<proxy::Worker>>& workers() const noexcept { return workers_; }
  void set_ticket_keys(const tls::TicketKeys& keys);
  void reopen_log();
  /// Where it listens, and for what: "proxy listens at 127.0.0.1:8000".
  [[nodiscard]] std::vector<std::string> places() const;

 private:
  struct Place {
    net::SocketAddress asked;
    bool udp = false;
    const char* what = "";
    std::vector<net::ListeningSocket> sockets;  // kept for the next generation
  };
  Status open(Place& place, const Listen& listen, const DataPlane* before) const;
  template <class Listening>
  Status serve(const Listen& listen, const char* what, const Listening& how, const DataPlane* before);

  DataPathOptions options_;
  std::unique_ptr<telemetry::LogFile> access_log_;
  std::unique_ptr<telemetry::LogFile> stream_log_;
  std::vector<std::unique_ptr<proxy::Worker>> workers_;
  std::vector<std::thread> threads_;
  std::vector<Place> places_;
  unsigned running_ = 0;
  Steady::time_point end_by_ = Steady::time_point::max();
};

}  // namespace gateway::app
