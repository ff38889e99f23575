#pragma once

#include <chrono>
#include <coroutine>

#include "base/task.h"
#include "proxy/request.h"
#include "proxy/upstream_side.h"

namespace gateway::proxy {

/// Streams a request body to the upstream while its answer is awaited: an upstream may answer, or refuse,
/// before it has read everything. Bounded memory; a slow upstream slows the client.
class Upload {
 public:
  /// `read_timeout`: longest wait for the upstream's answer once all is sent.
  Upload(Request& request, UpstreamSide& upstream, std::chrono::milliseconds read_timeout)
      : request_(request), upstream_(upstream), read_timeout_(read_timeout) {}
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  void start();

  /// Ends it where it is and waits until it has ended.
  class Stop {
   public:
    explicit Stop(Upload& upload) noexcept : upload_(upload) {}
    bool await_ready() noexcept;
    void await_suspend(std::coroutine_handle<> waiting) noexcept { upload_.waiting_ = waiting; }
    void await_resume() const noexcept {}

   private:
    Upload& upload_;
  };
  [[nodiscard]] Stop stop() noexcept { return Stop(*this); }

  [[nodiscard]] bool running() const noexcept { return running_; }
  /// Every byte of the body has gone out (or there was none to stream).
  [[nodiscard]] bool complete() const noexcept { return complete_; }
  /// The status that tells the client what was wrong with its body: 400, 408 or 413; 0 when nothing was.
  [[nodiscard]] unsigned failure() const noexcept { return failure_; }

 private:
  Task<void> run();
  Task<void> pump();
  void client_failed(const Error& error);

  Request& request_;
  UpstreamSide& upstream_;
  std::chrono::milliseconds read_timeout_;
  bool running_ = false;
  bool stopping_ = false;
  bool complete_ = true;
  unsigned failure_ = 0;
  std::coroutine_handle<> waiting_;
};

}  // namespace gateway::proxy
