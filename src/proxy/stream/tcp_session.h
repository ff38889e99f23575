#pragma once

#include <memory>
#include <optional>

#include "base/task.h"
#include "net/stream.h"
#include "proxy/stream/peers.h"
#include "proxy/stream/session.h"

namespace gateway::proxy::stream {

class Server;

/// One connection of a stream route: opened (PROXY protocol, the client's greeting in TLS), routed, connected to its service,
/// and then carried both ways until it ends. Where the gateway shakes hands it does so before it connects.
class TcpSession {
 public:
  TcpSession(Server& server, const Host& host, int descriptor, const net::SocketAddress& peer, const Listening& at);

  /// Frees the session at its end.
  Task<void> serve();
  /// What is still being opened has little time left; what is open goes on.
  void drain() noexcept;
  /// Ends now.
  void abort() noexcept;

 private:
  friend class Server;
  Task<void> carry();
  Task<bool> read_proxy_header();
  Task<bool> read_greeting();
  Task<bool> shake_hands();
  Task<bool> admit();
  Task<bool> connect();
  Task<Status> try_peer(const net::SocketAddress& peer);

  Server& server_;
  const Host& host_;
  const Listening& at_;
  Session session_;
  net::Stream client_;
  std::unique_ptr<net::Stream> upstream_;
  std::optional<Peers> peers_;
  bool opening_ = true;
  bool aborted_ = false;
  std::size_t place_ = 0;  // in the server's list
};

}  // namespace gateway::proxy::stream
