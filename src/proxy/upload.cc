#include "proxy/upload.h"

#include <utility>

#include "proxy/client.h"

namespace gateway::proxy {

void Upload::start() {
  running_ = true;
  complete_ = false;
  spawn(run());
}

Task<void> Upload::run() {
  co_await pump();
  // It may have been stopped over the body's last piece: that must not be taken for the next request.
  request_.body.release_piece();
  running_ = false;
  // While the client took its time, the upstream was not to blame.
  if (upstream_.awaited()) upstream_.expires_after(read_timeout_);
  if (waiting_) std::exchange(waiting_, nullptr).resume();
}

Task<void> Upload::pump() {
  while (!stopping_) {
    const Result<std::string_view> piece = co_await request_.body.next();
    if (stopping_) co_return;
    if (!piece) co_return client_failed(piece.error());
    if (piece->empty()) break;
    const Status sent = co_await upstream_.send(*piece);
    // The upstream will not read on; whether it answers is for the one who waits for that.
    if (!sent) co_return;
  }
  if (stopping_) co_return;
  const Status ended = co_await upstream_.send_end(request_.body.trailers());
  if (!ended) co_return;
  complete_ = true;
  request_.body.finish();
}

void Upload::client_failed(const Error& error) {
  failure_ = status_of(error);
  if (failure_ == 0) return request_.client.left();
  // The upstream must not take what it has for a whole request.
  upstream_.cancel();
}

bool Upload::Stop::await_ready() noexcept {
  if (!upload_.running_) return true;
  upload_.stopping_ = true;
  upload_.upstream_.cancel();
  upload_.request_.body.interrupt();
  return !upload_.running_;
}

}  // namespace gateway::proxy
