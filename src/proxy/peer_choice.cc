#include "proxy/peer_choice.h"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <coroutine>

#include "net/deadline.h"
#include "proxy/client.h"
#include "proxy/hash_input.h"
#include "proxy/worker.h"
#include "upstream/balancing/ring_hash.h"

namespace gateway::proxy {
namespace {

constexpr auto relaxed = std::memory_order_relaxed;

// A retry budget is for many requests: the first few of an upstream that has little to do may always be tried again.
constexpr std::uint32_t retries_always_allowed = 3;

// How long a request waits for names that are being looked up for the first time.
constexpr std::chrono::milliseconds longest_wait{5000};
constexpr std::chrono::milliseconds between_looks{50};

class Pause {
 public:
  Pause(net::Loop& loop, std::chrono::milliseconds length)
      : deadline_(
            loop.deadlines(), [](void* pause) { static_cast<Pause*>(pause)->waiting_.resume(); }, this),
        length_(length) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) {
    waiting_ = waiting;
    deadline_.set(length_);
  }
  void await_resume() const noexcept {}

 private:
  net::Deadline deadline_;
  std::chrono::milliseconds length_;
  std::coroutine_handle<> waiting_;
};

}  // namespace

PeerChoice::PeerChoice(Request& request) : request_(request), tried_(&request.arena) {
  if (request.place.literal != nullptr || request.config->balancers.size() == 0) return;
  const auto* found = request.config->balancers.find(*request.place.host);
  if (found == nullptr) return;
  balancer_ = found->get();
  group_ = &balancer_->group();
  protocol_ = request.upstream->service.protocol;
  const entity::Upstream& upstream = balancer_->upstream();
  if (upstream.breaker) breaker_ = &*upstream.breaker;
  timed_ = upstream.algorithm == entity::Algorithm::latency || upstream.outliers.has_value() || request.chain->logs;
}

PeerChoice::~PeerChoice() {
  if (group_ == nullptr) return;
  release();
  if (counted_) group_->requests.fetch_sub(1, relaxed);
  if (retries_ > 0) group_->retries.fetch_sub(retries_, relaxed);
}

void PeerChoice::release() noexcept {
  connected();
  if (peer_ != nullptr) peer_->state->in_flight.fetch_sub(1, relaxed);
  peer_ = nullptr;
}

// Counting first and looking then cannot let two in where there is room for one.
bool PeerChoice::admitted() noexcept {
  if (breaker_ == nullptr || counted_) return true;
  counted_ = true;
  const std::uint32_t others = group_->requests.fetch_add(1, relaxed);
  return breaker_->max_connections == 0 || others < breaker_->max_connections;
}

bool PeerChoice::may_retry() noexcept {
  if (breaker_ == nullptr) return true;
  ++retries_;
  const std::uint32_t others = group_->retries.fetch_add(1, relaxed);
  if (breaker_->max_retries != 0 && others >= breaker_->max_retries) return false;
  if (breaker_->retry_budget <= 0) return true;
  const auto share = static_cast<std::uint32_t>(group_->requests.load(relaxed) * breaker_->retry_budget / 100);
  return others < std::max(share, retries_always_allowed);
}

bool PeerChoice::connecting() noexcept {
  if (breaker_ == nullptr) return true;
  pending_ = true;
  const std::uint32_t others = group_->pending.fetch_add(1, relaxed);
  overloaded_ = breaker_->max_pending_requests != 0 && others >= breaker_->max_pending_requests;
  if (overloaded_) connected();
  return !overloaded_;
}

void PeerChoice::connected() noexcept {
  if (std::exchange(pending_, false)) group_->pending.fetch_sub(1, relaxed);
}

std::uint32_t PeerChoice::hash() {
  if (balancer_->upstream().algorithm != entity::Algorithm::consistent_hashing) return 0;
  return upstream::ring_hash(hash_input(request_, balancer_->upstream()));
}

// Which peers there are now is no part of the configuration that a request keeps from its first phase on: what has gone
// since is of no use to it.
void PeerChoice::take_newest() {
  const snapshot::SnapshotPtr newest = request_.client.worker().snapshot().pin();
  if (newest == request_.config) return;
  const auto* found = newest->balancers.find(*request_.place.host);
  if (found == nullptr || found->get() == balancer_) return;
  request_.exchange.keep(*found);
  balancer_ = found->get();
}

Task<bool> PeerChoice::next() {
  const Steady::time_point started = timed_ ? Steady::now() : Steady::time_point{};
  const bool first = tried_.empty();
  release();
  if (first) {
    overloaded_ = !admitted();
    if (overloaded_) co_return false;
    hash_ = hash();
  } else {
    overloaded_ = !may_retry();
    if (overloaded_) co_return false;
    take_newest();
  }
  peer_ = balancer_->pick(hash_, tried_);
  for (std::chrono::milliseconds waited{0}; peer_ == nullptr && balancer_->settling() && waited < longest_wait; waited += between_looks) {
    Pause pause(request_.client.worker().loop(), between_looks);
    co_await pause;
    if (request_.client.gone()) co_return false;
    take_newest();
    peer_ = balancer_->pick(hash_, tried_);
  }
  if (peer_ == nullptr) co_return false;
  peer_->state->in_flight.fetch_add(1, relaxed);
  tried_.push_back(peer_->state.get());
  if (timed_) {
    picked_ = Steady::now();
    took_ = std::chrono::duration_cast<std::chrono::microseconds>(picked_ - started);
  }
  co_return true;
}

void PeerChoice::answered(unsigned status) {
  if (peer_ == nullptr) return;
  std::chrono::microseconds latency{0};
  if (timed_ && request_.answered) latency = std::chrono::duration_cast<std::chrono::microseconds>(*request_.answered - picked_);
  balancer_->answered(*peer_, status, latency);
}

void PeerChoice::failed(const Error& error) {
  if (peer_ == nullptr) return;
  const bool late = error.code == boost::asio::error::timed_out;
  balancer_->failed(*peer_, late ? upstream::Event::timeout : upstream::Event::tcp_failure);
}

}  // namespace gateway::proxy
