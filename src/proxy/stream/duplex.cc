#include "proxy/stream/duplex.h"

#include <algorithm>
#include <utility>

namespace gateway::proxy::stream {

namespace {

constexpr std::chrono::milliseconds calm_after{1000};

}  // namespace

Duplex::Duplex(net::Loop& loop, net::Stream& client, net::Stream& upstream, std::chrono::milliseconds idle, std::chrono::milliseconds last_words)
    : client_(client),
      upstream_(upstream),
      idle_(idle),
      last_words_(last_words),
      deadline_(
          loop.deadlines(), [](void* duplex) { static_cast<Duplex*>(duplex)->look(); }, this),
      calm_(
          loop.deadlines(), [](void* duplex) { static_cast<Duplex*>(duplex)->calm_down(); }, this) {}

void Duplex::moved() noexcept {
  if (!ending_) deadline_.set(idle_);
}

// A large block on its way to a slow reader is no idleness: whether it moves at all the write itself sees to.
void Duplex::look() noexcept {
  if (writing_ > 0 && !ending_) return deadline_.set(idle_);
  end();
}

// Who waits with a large block waits on with a small one. A write must not be disturbed: it moves, and calls again.
void Duplex::calm_down() noexcept {
  if (writing_ > 0) return calm_.set(calm_after);
  client_.interrupt();
  upstream_.interrupt();
}

void Duplex::end() noexcept {
  client_.cancel();
  upstream_.cancel();
}

Task<void> Duplex::copy(net::Stream& from, net::Stream& to, std::uint64_t& bytes) {
  for (;;) {
    const std::string_view data = from.data();
    if (!data.empty()) {
      ++writing_;
      const Status sent = co_await to.write(data);
      --writing_;
      if (!sent) break;
      bytes += data.size();
      moved();
      from.consume(data.size());
      from.release_block();
      if (data.size() >= small_block) {
        from.reserve(data.size() < large_block ? large_block : largest_block);
        calm_.set(calm_after);
      }
      continue;
    }
    if (from.ended()) {
      to.shutdown_send();
      if (&from == &upstream_ && last_words_.count() > 0) {
        ending_ = true;
        deadline_.set(std::min(idle_, last_words_));
      }
      co_return;
    }
    const Result<bool> more = co_await from.more();
    if (more) continue;
    if (!from.usable()) break;
    from.release_block();  // it was only to calm down
  }
  // A failure on either side ends both directions.
  end();
}

Task<void> Duplex::copy_beside(std::uint64_t& bytes) {
  co_await copy(client_, upstream_, bytes);
  beside_runs_ = false;
  if (waiting_) std::exchange(waiting_, nullptr).resume();
}

Task<void> Duplex::run(std::uint64_t& up, std::uint64_t& down) {
  struct Beside {
    Duplex& duplex;
    bool await_ready() const noexcept { return !duplex.beside_runs_; }
    void await_suspend(std::coroutine_handle<> waiting) noexcept { duplex.waiting_ = waiting; }
    void await_resume() const noexcept {}
  };
  deadline_.set(idle_);
  spawn(copy_beside(up));
  co_await copy(upstream_, client_, down);
  Beside beside{*this};
  co_await beside;
  deadline_.clear();
}

}  // namespace gateway::proxy::stream
