#pragma once

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "base/task.h"
#include "http/headers.h"
#include "net/stream.h"
#include "proxy/head_writer.h"

namespace gateway::proxy {

class Cancellable;
struct Request;
class Worker;

/// An answer on its way to a client: its head is sent with the first piece of its body.
struct Answer {
  explicit Answer(Request& of);

  Request& request;
  unsigned status = 0;
  std::string_view reason;                  ///< HTTP/1 only
  http::Headers* headers = nullptr;         ///< as they go out; alive until the end of the answer
  const http::Headers* trailers = nullptr;  ///< behind the body; may fill up to the last piece
  bool has_body = false;                    ///< pieces count: not for HEAD, 204, 304
  bool of_known_length = false;             ///< Content-Length among the headers holds
  bool upgrades = false;                    ///< 101, or what stands for it: a tunnel follows
  bool interim = false;                     ///< 1xx: the real answer follows

  // The codec's own.
  bool head_sent = false;
  bool chunked = false;
  bool trailers_wanted = false;
  Output chunk_end;
  char chunk_size[20];
};

class Client;

/// A piece of an answer being sent. Errors: the client is gone.
class Sending {
 public:
  Sending(Client& client, Answer& answer, std::string_view payload, bool last) noexcept : client_(client), answer(answer), payload(payload), last(last) {}
  bool await_ready();
  void await_suspend(std::coroutine_handle<> waiting);
  Status await_resume();

 private:
  Client& client_;

 public:
  // For the codec.
  Answer& answer;
  std::string_view payload;
  bool last;
  std::optional<net::Stream::Write> write;
  std::size_t bytes = 0;
};

/// The client's side of a request, whatever version of HTTP it speaks. One thread: the worker's.
class Client {
 public:
  virtual ~Client() = default;

  [[nodiscard]] Worker& worker() const noexcept { return worker_; }
  /// The connection ends after the answers under way: they say so.
  [[nodiscard]] virtual bool draining() const noexcept = 0;
  [[nodiscard]] bool gone() const noexcept { return gone_; }
  /// The client broke off in the middle of its body: nobody to answer.
  void left() noexcept;

  /// What goes on with an upstream for the request under way, to be cancelled when the client leaves; null: nothing any more.
  void watch_for(Cancellable* upstream) noexcept;

  /// Completes an answer's headers with what this version of HTTP needs, once they are final.
  virtual void frame(Answer& answer) = 0;
  /// Sends a piece; the head goes with the first one. Ends when the piece's bytes are needed no longer.
  [[nodiscard]] Sending send(Answer& answer, std::string_view payload, bool last) noexcept { return {*this, answer, payload, last}; }

  // After an answer that upgrades: bytes as they come.

  /// From here on the client's end of sending is passed on, and no sign that it has left.
  virtual void becomes_a_tunnel() noexcept = 0;
  /// The connection, where it is all of the tunnel's; else null, and what follows has to be used.
  [[nodiscard]] virtual net::Stream* whole_connection() noexcept { return nullptr; }
  /// The next bytes, valid until the next call; empty at the end.
  virtual Task<Result<std::string_view>> receive() = 0;
  /// No more bytes follow towards the client.
  virtual void end_sending() noexcept = 0;
  /// Ends all waits.
  virtual void cancel() noexcept = 0;

 protected:
  explicit Client(Worker& worker) noexcept : worker_(worker) {}

  /// The upstream is waited for, with nothing being sent.
  virtual void awaits_upstream() noexcept {}

  [[nodiscard]] Cancellable* upstream() const noexcept { return upstream_; }

 private:
  friend class Sending;
  /// Starts sending; true: it is over already.
  virtual bool begin(Sending& piece) = 0;
  virtual void wait(Sending& piece, std::coroutine_handle<> waiting) = 0;
  virtual Status end(Sending& piece) = 0;

  Worker& worker_;
  Cancellable* upstream_ = nullptr;
  bool gone_ = false;
};

inline bool Sending::await_ready() { return client_.begin(*this); }
inline void Sending::await_suspend(std::coroutine_handle<> waiting) { client_.wait(*this, waiting); }
inline Status Sending::await_resume() { return client_.end(*this); }

}  // namespace gateway::proxy
