#include <coroutine>
#include <utility>

#include "proxy/connection.h"
#include "proxy/relay.h"
#include "proxy/worker.h"

namespace gateway::proxy {
namespace {

/// What both directions share: their end, when either side fails or nothing has moved for too long.
struct Common {
  net::Stream& client;
  net::Stream& upstream;
  std::chrono::milliseconds idle;
  bool over = false;  // a wait that had ended already when it was cancelled does not see that
  net::Deadline deadline;

  Common(net::Loop& loop, net::Stream& client_side, net::Stream& upstream_side, std::chrono::milliseconds longest)
      : client(client_side),
        upstream(upstream_side),
        idle(longest),
        deadline(
            loop.deadlines(), [](void* tunnel) { static_cast<Common*>(tunnel)->end(); }, this) {
    deadline.set(idle);
  }

  void end() noexcept {
    over = true;
    client.cancel();
    upstream.cancel();
  }
};

/// One direction of a tunnel. Ends with its source.
struct Direction {
  net::Stream& from;
  net::Stream& to;
  Common& common;
  std::uint64_t moved = 0;
};

Task<void> pump(Direction& direction) {
  while (!direction.common.over) {
    const std::string_view data = direction.from.data();
    if (!data.empty()) {
      direction.common.deadline.set(direction.common.idle);
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
  direction.common.end();
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

  request_.connection.becomes_a_tunnel();
  Common common(request_.connection.worker().loop(), client_, upstream_, timeout_);
  Direction down{upstream_, client_, common};
  Direction up{client_, upstream_, common};
  Beside beside{up};
  spawn(pump_beside(beside));
  co_await pump(down);
  co_await beside;
  request_.sent_bytes += down.moved;
  request_.received = Steady::now();
  co_return End::close;
}

}  // namespace gateway::proxy
