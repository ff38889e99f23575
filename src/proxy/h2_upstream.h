#pragma once

#include <deque>
#include <optional>
#include <string>

#include "net/deadline.h"
#include "proxy/request.h"
#include "proxy/upstream_side.h"
#include "upstream/h2_pool.h"

namespace gateway::proxy {

/// One request on an HTTP/2 connection to an upstream. One for WebSocket is an extended CONNECT (RFC 8441), which the peer must
/// take; to those who use it the answer looks as in HTTP/1.1.
class H2Upstream final : public UpstreamSide, public upstream::H2Caller {
 public:
  H2Upstream(Request& request, upstream::H2Connection& connection, std::chrono::milliseconds write_timeout);
  ~H2Upstream() override;
  H2Upstream(const H2Upstream&) = delete;
  H2Upstream& operator=(const H2Upstream&) = delete;

  /// Sends the head, and the body when it is in memory. Errors: no stream can be opened (try_again).
  Task<Status> begin();

  // UpstreamSide
  void cancel() noexcept override;
  Task<Status> send(std::string_view piece) override;
  Task<Status> send_end(const http::Headers& trailers) override;
  Result<Head> take_head(http::ResponseHead& head) override;
  void pass_interim() override;
  Result<Piece> poll() override;
  void release_piece() noexcept override;
  [[nodiscard]] const http::Headers& trailers() const noexcept override { return trailers_; }
  void expires_after(std::chrono::milliseconds after) noexcept override;
  void never_expires() noexcept override;
  [[nodiscard]] bool awaited() const noexcept override { return waiting_ != nullptr; }
  [[nodiscard]] bool becomes_a_tunnel() noexcept override { return wants_tunnel(); }

 private:
  class Taken;

  // H2Caller
  bool take_field(std::string_view name, std::string_view value) override;
  void end_head() override;
  void take_data(std::string_view bytes) override;
  void end_body() override;
  void closed(std::uint32_t error) override;

  bool has_arrived() override;
  bool wait(std::coroutine_handle<> waiting) override;
  Result<bool> arrival() override;

  [[nodiscard]] http::h2::Session::Fields fields() const;
  [[nodiscard]] bool wants_tunnel() const noexcept { return request_.head.upgrade_websocket; }
  void switch_protocols(http::ResponseHead& head) const;
  [[nodiscard]] Error failure(const char* doing) const;
  [[nodiscard]] bool failed() const noexcept { return cancelled_ || timed_out_ || (closed_ && !ended_); }
  void put_interim_aside();
  void wake();
  void give_up_waiting() noexcept;

  Request& request_;
  upstream::H2Connection& connection_;
  upstream::H2CallPtr call_;
  std::chrono::milliseconds write_timeout_;
  Steady::time_point begun_ = Steady::now();
  net::Deadline deadline_;
  net::Deadline write_deadline_;
  std::coroutine_handle<> waiting_;

  struct Interim {
    unsigned status;
    http::Headers headers;
  };
  std::deque<Interim> interims_;  // that came before one that was not looked at yet
  http::Headers headers_;
  http::Headers trailers_;
  unsigned status_ = 0;
  std::size_t head_bytes_ = 0;
  unsigned heads_ = 0;
  std::string arrived_;
  std::string given_;
  std::uint32_t error_ = 0;
  bool head_here_ = false;
  bool head_taken_ = false;
  bool malformed_ = false;
  bool ended_ = false;   // the upstream has sent its last byte
  bool closed_ = false;  // the stream is over
  bool cancelled_ = false;
  bool timed_out_ = false;
};

}  // namespace gateway::proxy
