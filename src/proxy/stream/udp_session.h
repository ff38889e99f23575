#pragma once

#include <deque>
#include <optional>
#include <string>

#include "base/task.h"
#include "net/datagrams.h"
#include "net/deadline.h"
#include "proxy/stream/peers.h"
#include "proxy/stream/session.h"

namespace gateway::proxy::stream {

class Server;

/// What one client's address and one service say to each other in UDP, until neither has said anything for the service's
/// read_timeout, or the service turns out to be gone.
class UdpSession {
 public:
  /// Datagrams that may wait for the service's address to be found.
  static constexpr std::size_t max_waiting = 16;
  static constexpr std::size_t max_waiting_bytes = 65536;

  /// `session` has its route.
  UdpSession(Server& server, const Host& host, net::DatagramListener& listener, const net::SocketAddress& peer, Session session);

  /// Frees the session at its end.
  Task<void> serve();
  /// A datagram of the client.
  void receive(std::string_view bytes);
  /// Answers that are under way are still brought.
  void drain() noexcept;
  void abort() noexcept { end(); }

 private:
  friend class Server;
  Task<void> carry();
  Task<bool> connect();
  [[nodiscard]] bool send(std::string_view bytes);
  [[nodiscard]] bool bring_answers();
  void lost(const Error& error);
  void end() noexcept;

  Server& server_;
  const Host& host_;
  net::DatagramListener& listener_;
  net::SocketAddress peer_;
  Session session_;
  std::optional<Peers> peers_;
  net::DatagramSocket socket_;
  std::chrono::milliseconds idle_;
  net::Deadline deadline_;
  std::deque<std::string> waiting_;
  std::size_t waiting_bytes_ = 0;
  bool over_ = false;
};

}  // namespace gateway::proxy::stream
