#pragma once

#include <string>

#include "http/h2/request_builder.h"
#include "http/h2/session.h"
#include "net/deadline.h"
#include "proxy/client.h"
#include "proxy/h2_connection.h"
#include "proxy/request.h"

namespace gateway::proxy {

/// One stream of an HTTP/2 connection: a request, its body and its answer.
class H2Client final : public Client, public BodySource {
 public:
  H2Client(H2Connection& connection, http::h2::StreamId id);
  ~H2Client() override;

  /// Answers the request. Frees the stream at its end.
  Task<void> serve();

  // From the session, inside of nghttp2
  bool take_field(std::string_view name, std::string_view value);
  void end_head(bool ends);
  void take_data(std::string_view bytes);
  void end_body();
  void closed(std::uint32_t error);

  /// The connection is gone.
  void cut_off() noexcept;
  [[nodiscard]] bool head_whole() const noexcept { return head_whole_; }
  [[nodiscard]] bool serving() const noexcept { return serving_; }

  // Client
  [[nodiscard]] bool draining() const noexcept override { return false; }  // nothing that the answer has to say
  void frame(Answer& answer) override;
  void becomes_a_tunnel() noexcept override { tunnel_ = true; }
  Task<Result<std::string_view>> receive() override { return read(); }
  void end_sending() noexcept override;
  void cancel() noexcept override;

  // BodySource
  Task<Result<std::string_view>> read() override;
  [[nodiscard]] bool complete() const noexcept override { return ended_ && arrived_.empty(); }
  [[nodiscard]] std::uint64_t received() const noexcept override { return received_; }
  void release() noexcept override;
  void finish() noexcept override {}
  void interrupt() noexcept override;

 private:
  friend class H2Connection;
  class Arrival;

  bool begin(Sending& piece) override;
  void wait(Sending& piece, std::coroutine_handle<> waiting) override;
  Status end(Sending& piece) override;
  void submit_head(Answer& answer, bool body);
  void wake_reader();
  void begin_request(bool ends);
  [[nodiscard]] bool body_came_whole() const noexcept;

  H2Connection& connection_;
  http::h2::Outgoing out_;
  RequestPtr request_;
  http::h2::RequestBuilder builder_;
  net::Deadline head_due_;
  net::Deadline send_due_;
  net::Deadline body_due_;
  unsigned refused_ = 0;

  // The body
  std::string arrived_;  // and not given out
  std::string given_;    // what the reader looks at
  std::uint64_t received_ = 0;
  std::coroutine_handle<> reading_;
  std::uint64_t max_body_bytes_;
  std::size_t place_ = 0;  // in the connection's list
  std::size_t trailer_bytes_ = 0;
  bool head_whole_ = false;
  bool serving_ = false;
  bool started_over_ = false;  // with the request: only the stream is left
  bool send_continue_ = false;
  bool ended_ = false;  // the client has sent its last byte
  bool interrupted_ = false;
  bool body_timed_out_ = false;
  bool closed_ = false;  // the stream is over on the wire
  bool cancelled_ = false;
  bool answered_ = false;  // our last byte is on its way
  bool tunnel_ = false;
  bool widened_ = false;
};

}  // namespace gateway::proxy
