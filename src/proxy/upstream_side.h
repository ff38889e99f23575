#pragma once

#include <chrono>
#include <coroutine>
#include <string_view>

#include "base/result.h"
#include "base/task.h"
#include "http/message.h"
#include "proxy/cancellable.h"

namespace gateway::net {
class Stream;
}

namespace gateway::proxy {

/// The upstream's side of one try at a request, whatever version of HTTP it speaks: takes the streamed part of the
/// request's body and gives back the answer. One thread: the worker's.
///
/// Errors of all waits: the network's, malformed (protocol_error), timed_out; operation_aborted after cancel().
class UpstreamSide : public Cancellable {
 public:
  struct Piece {
    std::string_view payload;  ///< valid until the next poll
    bool last = false;
  };

  virtual ~UpstreamSide() = default;

  // The request's body, when it was not whole with the head.

  virtual Task<Status> send(std::string_view piece) = 0;
  virtual Task<Status> send_end(const http::Headers& trailers) = 0;

  // The answer

  enum class Head { final, interim, incomplete };
  /// Looks at what has come: a head in `head`, or nothing yet. After an interim one: pass_interim() when it was used.
  virtual Result<Head> take_head(http::ResponseHead& head) = 0;
  virtual void pass_interim() = 0;
  /// The next piece of the body, of what has come: empty and not the last when that is nothing.
  virtual Result<Piece> poll() = 0;
  /// Nobody looks at the last piece any more.
  virtual void release_piece() noexcept = 0;
  [[nodiscard]] virtual const http::Headers& trailers() const noexcept = 0;

  /// Waits until more has come. True: something may have; false: the upstream has ended.
  class Arrival {
   public:
    explicit Arrival(UpstreamSide& side) noexcept : side_(side) {}
    bool await_ready() { return side_.has_arrived(); }
    bool await_suspend(std::coroutine_handle<> waiting) { return side_.wait(waiting); }
    Result<bool> await_resume() { return side_.arrival(); }

   private:
    UpstreamSide& side_;
  };
  [[nodiscard]] Arrival more() noexcept { return Arrival(*this); }
  virtual void expires_after(std::chrono::milliseconds after) noexcept = 0;
  virtual void never_expires() noexcept = 0;
  /// Somebody waits in more().
  [[nodiscard]] virtual bool awaited() const noexcept = 0;

  /// After 101: what is sent and polled from here on are bytes as they come, both ways at a time, until each side has sent its
  /// end. False: this is no answer that could have come.
  [[nodiscard]] virtual bool becomes_a_tunnel() noexcept = 0;
  /// The connection, where it is all of the tunnel's; else null.
  [[nodiscard]] virtual net::Stream* whole_connection() noexcept { return nullptr; }

 private:
  virtual bool has_arrived() = 0;
  virtual bool wait(std::coroutine_handle<> waiting) = 0;
  virtual Result<bool> arrival() = 0;
};

}  // namespace gateway::proxy
