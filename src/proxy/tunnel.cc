#include <coroutine>
#include <utility>

#include "proxy/connection.h"
#include "proxy/relay.h"

namespace gateway::proxy {
namespace {

/// One direction of a tunnel. Ends when its source ends, either side fails, or nothing moved for too long.
struct Direction {
  net::Stream& from;
  net::Stream& to;
  net::Stream& timed;  // whose deadline watches over both directions
  std::chrono::milliseconds idle;
  std::uint64_t moved = 0;
  bool failed = false;
};

Task<void> pump(Direction& direction) {
  for (;;) {
    const std::string_view data = direction.from.data();
    if (!data.empty()) {
      direction.timed.expires_after(direction.idle);
      const Status sent = co_await direction.to.write(data);
      if (!sent) break;
      direction.moved += data.size();
      direction.from.consume(data.size());
      continue;
    }
    if (direction.from.ended()) {
      direction.to.shutdown_send();
      co_return;
    }
    const Result<bool> more = co_await direction.from.more();
    if (!more) break;
  }
  // A failure on either side ends both directions.
  direction.failed = true;
  direction.from.cancel();
  direction.to.cancel();
}

/// Runs a direction beside another one.
struct Beside {
  Direction& direction;
  bool running = true;
  std::coroutine_handle<> waiting{};

  bool await_ready() const noexcept { return !running; }
  void await_suspend(std::coroutine_handle<> handle) noexcept { waiting = handle; }
  void await_resume() const noexcept {}
};

Task<void> pump_beside(Beside& beside) {
  co_await pump(beside.direction);
  beside.running = false;
  if (beside.waiting) std::exchange(beside.waiting, nullptr).resume();
}

}  // namespace

// After 101 (Switching Protocols) both sides speak as they like. Lives on through configuration changes.
Task<Result<Relay::End>> Relay::tunnel() {
  prepare_head();
  request_.status = head_.status;
  request_.response_started = true;
  request_.close_after = true;
  const Pieces pieces{out_};
  const bool sent = co_await write_client(pieces);
  if (!sent) co_return End::close;

  request_.connection.watch_for(nullptr);
  Direction down{upstream_, client_, upstream_, timeout_};
  Direction up{client_, upstream_, upstream_, timeout_};
  upstream_.expires_after(timeout_);
  Beside beside{up};
  spawn(pump_beside(beside));
  co_await pump(down);
  co_await beside;
  request_.sent_bytes += down.moved;
  request_.received = Steady::now();
  co_return End::close;
}

}  // namespace gateway::proxy
