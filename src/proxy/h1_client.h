#pragma once

#include <memory>

#include "base/task.h"
#include "http/h1/request_parser.h"
#include "net/deadline.h"
#include "net/stream.h"
#include "proxy/client.h"
#include "proxy/connection.h"
#include "proxy/h1_body.h"
#include "proxy/request.h"

namespace gateway::proxy {

/// HTTP/1 on a client's connection: reads its requests one after the other and has each answered.
class H1Client final : public Codec, public Client, net::Stream::Observer {
 public:
  explicit H1Client(Connection& connection);

  // Codec
  Task<void> serve() override;
  void drain() noexcept override;
  void abort() noexcept override;

  // Client
  [[nodiscard]] bool draining() const noexcept override { return draining_; }
  void frame(Answer& answer) override;
  void becomes_a_tunnel() noexcept override;
  [[nodiscard]] net::Stream* whole_connection() noexcept override { return &stream_; }
  Task<Result<std::string_view>> receive() override;
  void end_sending() noexcept override { stream_.shutdown_send(); }
  void cancel() noexcept override { stream_.cancel(); }

 private:
  // A FIN may mean "I am gone" or "that was my last request": this long the upstream may still be silent.
  static constexpr std::chrono::milliseconds half_close_grace{1000};

  void stream_ended() override;
  void awaits_upstream() noexcept override;
  bool begin(Sending& piece) override;
  void wait(Sending& piece, std::coroutine_handle<> waiting) override { piece.write->await_suspend(waiting); }
  Status end(Sending& piece) override;

  Task<RequestPtr> next_request();
  [[nodiscard]] std::chrono::milliseconds time_between_requests() const noexcept;
  void wait_begins() noexcept;
  void wait_ends() noexcept;
  Task<void> refuse(Request& request, unsigned status, std::string_view why);
  void take_head(Request& request, std::size_t head_bytes);

  Connection& connection_;
  net::Stream& stream_;
  H1Body body_;
  net::Deadline half_closed_;  // how long a client that sent FIN may still want its answer
  std::size_t received_ = 0;   // bytes that receive() gave out and the stream still holds
  bool draining_ = false;
  bool aborted_ = false;
  bool tunnel_ = false;
  bool between_requests_ = true;
};

}  // namespace gateway::proxy
