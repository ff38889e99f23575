#pragma once

#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "net/datagrams.h"
#include "net/listener.h"
#include "proxy/stream/session.h"
#include "proxy/stream/tcp_session.h"
#include "proxy/stream/udp_session.h"
#include "telemetry/log_file.h"

namespace gateway::proxy::stream {

/// One worker's side of all streams: its listeners, its connections and UDP sessions, its access log. The worker's thread.
class Server {
 public:
  Server(Host host, telemetry::LogFile& log);
  ~Server();

  /// Before start().
  void listen(net::ListeningSocket socket, const Listening& how);
  void start();
  /// Takes nothing new; connections live on, UDP sessions as long as there are answers.
  void drain();
  /// Ends everything.
  void abort();
  [[nodiscard]] bool idle() const noexcept { return connections_.empty() && datagrams_.empty() && leaving_ == 0; }

  [[nodiscard]] telemetry::LogBuffer& log() noexcept { return log_; }
  /// Free a session that has ended.
  void remove(TcpSession& session) noexcept;
  void remove(UdpSession& session) noexcept;

 private:
  /// Who speaks with which of our addresses.
  struct Pair {
    net::SocketAddress peer;
    net::SocketAddress local;
    friend bool operator==(const Pair&, const Pair&) = default;
  };
  struct PairHash {
    std::size_t operator()(const Pair& pair) const noexcept { return net::SocketAddressHash{}(pair.peer); }
  };

  void accepted(int descriptor, const net::SocketAddress& peer, const Listening& at);
  void received(std::string_view bytes, const net::SocketAddress& peer, const net::SocketAddress& local, net::DatagramListener& listener);
  [[nodiscard]] bool admit(Session& session, net::DatagramListener& listener, const net::SocketAddress& peer);
  [[nodiscard]] bool is_full(std::size_t sessions);
  template <class Ended>
  void free_later(std::unique_ptr<Ended> session) noexcept;

  Host host_;
  telemetry::LogBuffer log_;
  std::deque<Listening> places_;
  std::vector<std::unique_ptr<net::Listener>> listeners_;
  std::vector<std::unique_ptr<net::DatagramListener>> datagram_listeners_;
  std::vector<std::unique_ptr<TcpSession>> connections_;
  std::unordered_map<Pair, std::unique_ptr<UdpSession>, PairHash> datagrams_;
  std::size_t leaving_ = 0;  // ended, and to be freed once their coroutines have unwound
  Steady::time_point told_full_{};
};

}  // namespace gateway::proxy::stream
