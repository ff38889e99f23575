#include <algorithm>
#include <coroutine>
#include <utility>

#include "net/deadline.h"
#include "proxy/relay.h"
#include "proxy/stream/duplex.h"
#include "proxy/worker.h"

namespace gateway::proxy {
namespace {

// What a client may still send once its server has closed.
constexpr std::chrono::milliseconds last_words{1000};

/// Where one of the sides is a stream of HTTP/2. What both directions share: their end, when either side fails or nothing has moved for too long.
struct Tunnel {
  Client& client;
  UpstreamSide& upstream;
  Answer& answer;
  std::chrono::milliseconds idle;
  bool upstream_ended = false;
  bool over = false;  // a wait that had ended already when it was cancelled does not see that
  net::Deadline deadline;

  Tunnel(Client& client_side, UpstreamSide& upstream_side, Answer& begun, std::chrono::milliseconds longest)
      : client(client_side),
        upstream(upstream_side),
        answer(begun),
        idle(longest),
        deadline(
            client_side.worker().loop().deadlines(), [](void* tunnel) { static_cast<Tunnel*>(tunnel)->end(); }, this) {
    deadline.set(idle);
  }

  void end() noexcept {
    over = true;
    client.cancel();
    upstream.cancel();
  }
  Task<void> down();
  Task<void> up();
};

Task<void> Tunnel::down() {
  while (!over) {
    const Result<UpstreamSide::Piece> piece = upstream.poll();
    if (!piece) break;
    if (!piece->payload.empty()) {
      deadline.set(idle);
      const Status sent = co_await client.send(answer, piece->payload, false);
      if (!sent) break;
    }
    if (piece->last) {
      upstream.release_piece();
      upstream_ended = true;
      client.end_sending();
      // Whoever serves has said all; it waits for us to close as well, and that is not for the client to put off.
      deadline.set(std::min(idle, last_words));
      co_return;
    }
    if (!piece->payload.empty()) continue;
    const Result<bool> more = co_await upstream.more();
    if (!more) break;
  }
  // A failure on either side ends both directions.
  end();
}

Task<void> Tunnel::up() {
  while (!over) {
    const Result<std::string_view> data = co_await client.receive();
    if (!data) break;
    if (data->empty()) {
      const http::Headers no_trailers(answer.request.arena);
      const Status ended = co_await upstream.send_end(no_trailers);
      if (!ended) break;
      co_return;
    }
    if (!upstream_ended) deadline.set(idle);
    const Status sent = co_await upstream.send(*data);
    if (!sent) break;
  }
  end();
}

/// One direction beside the other one.
struct Beside {
  Tunnel& tunnel;
  bool running = true;
  std::coroutine_handle<> waiting{};

  bool await_ready() const noexcept { return !running; }
  void await_suspend(std::coroutine_handle<> handle) noexcept { waiting = handle; }
  void await_resume() const noexcept {}
};

Task<void> up_beside(Beside& beside) {
  co_await beside.tunnel.up();
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
  const Status sent = co_await client_.send(answer_, {}, false);
  if (!sent) co_return End::close;

  client_.becomes_a_tunnel();
  net::Stream* const client = client_.whole_connection();
  net::Stream* const upstream = upstream_.whole_connection();
  if (client != nullptr && upstream != nullptr) {
    stream::Duplex both(client_.worker().loop(), *client, *upstream, timeout_, last_words);
    std::uint64_t received = 0;
    std::uint64_t passed_on = 0;
    co_await both.run(received, passed_on);
    request_.sent_bytes += passed_on;
    request_.received = Steady::now();
    co_return End::close;
  }
  Tunnel both(client_, upstream_, answer_, timeout_);
  Beside beside{both};
  spawn(up_beside(beside));
  co_await both.down();
  co_await beside;
  request_.received = Steady::now();
  co_return End::close;
}

}  // namespace gateway::proxy
