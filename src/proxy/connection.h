#pragma once

#include <memory>
#include <string>

#include "base/task.h"
#include "http/h1/request_parser.h"
#include "net/address.h"
#include "net/stream.h"
#include "proxy/options.h"
#include "proxy/request.h"

namespace gateway::proxy {

class Worker;

/// Requests live in memory that goes round: freed back to the worker they came from.
struct RequestDeleter {
  Worker* worker;
  void operator()(Request* request) const noexcept;
};
using RequestPtr = std::unique_ptr<Request, RequestDeleter>;

/// One client's connection: reads its requests one after the other and has each answered.
class Connection final : net::Stream::Observer {
 public:
  Connection(Worker& worker, int descriptor, const net::SocketAddress& peer, const net::SocketAddress& local);

  /// Until the client leaves, an error, or shutdown. Frees the connection at its end.
  Task<void> serve();

  /// Ends it after the answer under way, or the one to a request that may be on its way already.
  void drain() noexcept;
  /// Ends it now.
  void abort() noexcept;

  [[nodiscard]] Worker& worker() noexcept { return worker_; }
  [[nodiscard]] net::Stream& stream() noexcept { return stream_; }

  /// The upstream connection of the request under way, to be cancelled when the client leaves.
  void watch_for(net::Stream* upstream) noexcept;
  /// From here on the client's end of sending is passed on, and no sign that it has left.
  void becomes_a_tunnel() noexcept {
    tunnel_ = true;
    half_closed_.clear();
  }
  /// An answer is being written (then the writing itself tells when the client is gone), or the upstream is awaited.
  void writes() noexcept { half_closed_.clear(); }
  void awaits_upstream() noexcept {
    if (stream_.ended() && !tunnel_) half_closed_.set(half_close_grace);
  }
  /// The next answer is the last one, and says so.
  [[nodiscard]] bool draining() const noexcept { return draining_; }
  [[nodiscard]] bool client_gone() const noexcept { return client_gone_; }
  /// The client broke off in the middle of its body: nobody to answer.
  void client_left() noexcept { give_up_upstream(); }

 private:
  friend class Worker;
  // A FIN may mean "I am gone" or "that was my last request": this long the upstream may still be silent.
  static constexpr std::chrono::milliseconds half_close_grace{1000};

  void stream_ended() override;
  void give_up_upstream() noexcept;

  Task<RequestPtr> next_request();
  [[nodiscard]] std::chrono::milliseconds time_between_requests() const noexcept;
  Task<bool> wait_for_first_byte();
  Task<void> refuse(Request& request, unsigned status, std::string_view why);
  Task<void> linger();
  void take_head(Request& request, std::size_t head_bytes);

  Worker& worker_;
  net::Stream stream_;
  std::string peer_ip_;
  std::string server_ip_;
  plugin::Connection facts_;
  net::Stream* upstream_ = nullptr;
  net::Deadline half_closed_;  // how long a client that sent FIN may still want its answer
  bool client_gone_ = false;
  bool draining_ = false;
  bool aborted_ = false;
  bool tunnel_ = false;
  bool between_requests_ = true;
  std::size_t place_ = 0;  // in the worker's list
};

}  // namespace gateway::proxy
