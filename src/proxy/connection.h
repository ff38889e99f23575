#pragma once

#include <memory>
#include <string>

#include "base/task.h"
#include "net/address.h"
#include "net/stream.h"
#include "plugin/exchange.h"
#include "proxy/options.h"

namespace gateway::proxy {

class Worker;

/// A version of HTTP, spoken on one client's connection.
class Codec {
 public:
  virtual ~Codec() = default;
  /// Until the client leaves, an error, or shutdown.
  virtual Task<void> serve() = 0;
  /// Ends after the answers under way, or those to requests that may be on their way already.
  virtual void drain() noexcept = 0;
  /// Ends now.
  virtual void abort() noexcept = 0;
};

/// How connections begin that come in at one place.
struct Listening {
  net::SocketAddress local;
  bool tls = false;
  bool http2 = false;
  bool proxy_protocol = false;
};

/// One client's connection: opened (PROXY protocol, TLS), then served by the codec that it asks for.
class Connection {
 public:
  // Small, since every idle connection holds one; a larger head or body takes a larger block for its time.
  static constexpr std::size_t input_bytes = 4096;

  Connection(Worker& worker, int descriptor, const net::SocketAddress& peer, const Listening& at);

  /// Frees the connection at its end.
  Task<void> serve();
  void drain() noexcept;
  void abort() noexcept;

  [[nodiscard]] Worker& worker() noexcept { return worker_; }
  [[nodiscard]] net::Stream& stream() noexcept { return stream_; }
  [[nodiscard]] plugin::Connection& facts() noexcept { return facts_; }
  /// HTTP/2 could have been spoken from the first byte.
  [[nodiscard]] bool may_be_http2() const noexcept { return at_.http2 && !at_.tls; }

 private:
  friend class Worker;
  Task<std::unique_ptr<Codec>> open();
  Task<bool> read_proxy_header();
  Task<bool> shake_hands();
  Task<bool> greets_with_http2();
  void note_tls(const tls::Session& session);
  void note_addresses(const net::SocketAddress& peer, const net::SocketAddress& local);

  Worker& worker_;
  net::Stream stream_;
  const Listening& at_;
  std::string peer_ip_;
  std::string client_ip_;
  std::string server_ip_;
  std::string sni_;
  plugin::Connection facts_;
  std::unique_ptr<Codec> codec_;
  bool draining_ = false;
  std::size_t place_ = 0;  // in the worker's list
};

}  // namespace gateway::proxy
