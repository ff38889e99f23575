#pragma once

#include <optional>
#include <utility>

#include "http/h1/body_decoder.h"
#include "http/h1/response_parser.h"
#include "net/stream.h"
#include "proxy/body_room.h"
#include "proxy/request.h"
#include "proxy/upstream_side.h"

namespace gateway::proxy {

/// One request on an HTTP/1.1 connection to an upstream.
class H1Upstream final : public UpstreamSide {
 public:
  H1Upstream(Request& request, net::Stream& stream) : request_(request), stream_(stream), trailers_(request.arena) {}

  void cancel() noexcept override { stream_.cancel(); }
  Task<Status> send(std::string_view piece) override;
  Task<Status> send_end(const http::Headers& trailers) override;

  Result<Head> take_head(http::ResponseHead& head) override;
  void pass_interim() override;
  Result<Piece> poll() override;
  void release_piece() noexcept override { stream_.consume(std::exchange(consume_next_, 0)); }
  [[nodiscard]] const http::Headers& trailers() const noexcept override { return trailers_; }

  void expires_after(std::chrono::milliseconds after) noexcept override { stream_.expires_after(after); }
  void never_expires() noexcept override { stream_.never_expires(); }
  [[nodiscard]] bool awaited() const noexcept override { return stream_.awaited(); }
  [[nodiscard]] bool becomes_a_tunnel() noexcept override;
  [[nodiscard]] net::Stream* whole_connection() noexcept override { return &stream_; }

 private:
  bool has_arrived() override;
  bool wait(std::coroutine_handle<> waiting) override { return net::Stream::More(stream_).await_suspend(waiting); }
  Result<bool> arrival() override;

  void begin_body(http::ResponseHead& head);
  [[nodiscard]] bool chunked() const noexcept;

  Request& request_;
  net::Stream& stream_;
  http::h1::ResponseParser parser_;
  unsigned interim_ = 0;  // answers before the final one
  http::Framing framing_;
  std::optional<http::h1::BodyDecoder> decoder_;
  BodyRoom room_;
  http::Headers trailers_;
  std::string_view whole_;  // the body, when all of it came with the head
  std::size_t consume_next_ = 0;
  bool head_taken_ = false;
  bool tunnel_ = false;
  bool done_ = false;
};

}  // namespace gateway::proxy
