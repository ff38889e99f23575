#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "base/task.h"
#include "http/h1/limits.h"
#include "http/message.h"
#include "net/listener.h"
#include "net/stream.h"
#include "tls/server_context.h"

namespace gateway::http {

/// A request to the gateway itself, whole in memory.
struct ServerRequest {
  const RequestHead& head;
  std::string_view body;
  std::string_view client_ip;  ///< "unix:" where it has none
};

/// A small HTTP/1.1 server for the gateway's own interfaces (Admin API, status). One loop; every request is
/// read whole, within limits, and answered by the handler. Where that throws the answer is 500.
class Server {
 public:
  using Handler = std::function<Task<Reply>(const ServerRequest&)>;
  struct Options {
    h1::Limits head;
    std::size_t max_body_bytes = 10 << 20;
    std::size_t max_connections = 4096;
    std::chrono::milliseconds timeout{60000};  ///< for a head, a body, a write, and between requests
  };

  Server(net::Loop& loop, Options options, Handler handler);
  ~Server();
  /// `tls` (null: plain) must live as long.
  void listen(net::ListeningSocket socket, const tls::ServerContext* tls = nullptr);
  void start();
  /// No new connections or requests; answers under way are finished.
  void stop();
  /// As stop(), and requests that are not there whole yet are dropped.
  void abort();
  [[nodiscard]] bool idle() const noexcept { return connections_.empty(); }

 private:
  class Connection;
  void remove(Connection& connection);

  net::Loop& loop_;
  Options options_;
  Handler handler_;
  std::vector<std::unique_ptr<net::Listener>> listeners_;
  std::list<std::unique_ptr<Connection>> connections_;
  bool stopping_ = false;
};

}  // namespace gateway::http
