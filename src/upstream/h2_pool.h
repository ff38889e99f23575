#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "http/h2/session.h"
#include "net/deadline.h"
#include "net/waiting.h"
#include "upstream/pool.h"

namespace gateway::upstream {

class H2Connection;
class H2Pool;

/// Who asked for a stream, and hears what comes on it. Called inside of nghttp2.
class H2Caller {
 public:
  virtual bool take_field(std::string_view name, std::string_view value) = 0;
  virtual void end_head() = 0;
  virtual void take_data(std::string_view bytes) = 0;
  virtual void end_body() = 0;
  /// The last that is heard of it.
  virtual void closed(std::uint32_t error) = 0;

 protected:
  ~H2Caller() = default;
};

/// One stream to a peer. The connection keeps it until it is over on the wire, the caller as long as it listens.
struct H2Call {
  http::h2::Outgoing out;
  H2Caller* caller = nullptr;
  H2Connection* connection = nullptr;
  bool over = false;
};
using H2CallPtr = std::shared_ptr<H2Call>;

/// A connection to a peer that carries many requests at a time.
class H2Connection final : public http::h2::Session {
 public:
  H2Connection(H2Pool& pool, ConnectionPtr connection, const Destination& to, std::chrono::milliseconds idle);

  Task<void> serve();
  [[nodiscard]] bool has_room() const noexcept;
  /// Null: no stream can be opened here any more.
  H2CallPtr call(H2Caller& caller, const Fields& fields, bool body, std::string_view first, bool last);
  /// The caller listens no longer; what is not over ends.
  void leave(H2Call& call);
  using Session::resume_later;
  /// Known when the peer has greeted (Greeting).
  using Session::takes_extended_connect;
  void resume_soon();

 private:
  friend class Greeting;
  friend class H2Pool;
  void settings_came() override;
  void wake_greeted();
  void* begin_stream(http::h2::StreamId /*id*/) override { return nullptr; }
  bool take_field(void* stream, std::string_view name, std::string_view value) override;
  void end_head(void* stream, bool end_of_stream) override;
  void take_data(void* stream, std::string_view bytes) override;
  void end_body(void* stream) override;
  void stream_closed(void* stream, std::uint32_t error) override;
  void misbehaves(const char* how) override;

  H2Pool& pool_;
  ConnectionPtr connection_;
  Destination to_;
  std::chrono::milliseconds idle_;
  std::vector<H2CallPtr> calls_;
  net::Waiting* greetings_ = nullptr;
  bool greeted_ = false;
};

/// Waits until the peer has said what it takes: its settings. Errors: timed_out; operation_aborted after dialling.cancel(); the
/// connection ended before.
class Greeting final : net::Waiting {
 public:
  Greeting(H2Connection& connection, std::chrono::milliseconds longest, Dialling& dialling);
  ~Greeting() { dialling_.over(); }
  Greeting(const Greeting&) = delete;
  Greeting& operator=(const Greeting&) = delete;

  bool await_ready() const noexcept { return error_ || connection_.greeted_ || connection_.ended(); }
  void await_suspend(std::coroutine_handle<> waiting);
  Status await_resume();

 private:
  void give_up(const boost::system::error_code& why) noexcept;

  H2Connection& connection_;
  net::Loop& loop_;
  std::chrono::milliseconds longest_;
  Dialling& dialling_;
  net::Deadline deadline_;
  boost::system::error_code error_;
};

/// One worker's HTTP/2 connections to peers.
class H2Pool {
 public:
  H2Pool(net::Loop& loop, Pool& pool, std::chrono::milliseconds idle) : loop_(loop), pool_(pool), idle_(idle) {}
  ~H2Pool();

  /// One with room for another stream, made if there is none: all who come meanwhile wait for the same one, and it is given up
  /// when nobody does any more. Valid until the caller's next wait.
  /// Errors: those of Pool::connect; no agreement on HTTP/2.
  Task<Result<H2Connection*>> connect(const Destination& to, std::chrono::milliseconds timeout, Dialling* dialling = nullptr);
  /// Ends those that are idle now, and the others with their last stream.
  void clear();

  [[nodiscard]] net::Loop& loop() noexcept { return loop_; }

 private:
  friend class H2Connection;
  [[nodiscard]] H2Connection* find(const Destination& to) const noexcept;
  void remove(H2Connection& ended);
  /// A connection being made, and one of those who wait for it.
  struct Opening;
  class Turn;
  Task<void> open(std::shared_ptr<Opening> opening, std::chrono::milliseconds timeout);
  Status admit(const Destination& to, ConnectionPtr connection);
  void forget(const Opening& opening);

  net::Loop& loop_;
  Pool& pool_;
  std::chrono::milliseconds idle_;
  std::unordered_map<Destination, std::vector<std::unique_ptr<H2Connection>>, DestinationHash> connections_;
  std::unordered_map<Destination, std::shared_ptr<Opening>, DestinationHash> openings_;
};

}  // namespace gateway::upstream
