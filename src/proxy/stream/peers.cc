#include "proxy/stream/peers.h"

#include <algorithm>
#include <boost/asio/error.hpp>

#include "net/pause.h"
#include "upstream/balancing/ring_hash.h"

namespace gateway::proxy::stream {
namespace {

constexpr auto relaxed = std::memory_order_relaxed;

// A retry budget is for many: the first few of an upstream that has little to do may always be tried again.
constexpr std::uint32_t retries_always_allowed = 3;

// How long a session waits for names that are being looked up for the first time.
constexpr std::chrono::milliseconds longest_wait{5000};
constexpr std::chrono::milliseconds between_looks{50};

Error unavailable(const std::string& why) {
  return Error{boost::system::errc::make_error_code(boost::system::errc::resource_unavailable_try_again), Origin::upstream, why};
}

}  // namespace

Peers::Peers(const Host& host, const Session& session) : host_(host), session_(session) {
  if (session.service->literal) return;
  take_newest();
  first_ = balancer_;
}

Peers::~Peers() {
  if (!balancer_) return;
  release();
  upstream::Group& group = first_->group();
  if (counted_) group.requests.fetch_sub(1, relaxed);
  if (retries_ > 0) group.retries.fetch_sub(retries_, relaxed);
}

void Peers::release() noexcept {
  if (peer_ != nullptr) peer_->state->in_flight.fetch_sub(1, relaxed);
  peer_ = nullptr;
}

void Peers::take_newest() {
  const snapshot::SnapshotPtr config = host_.snapshot.pin();
  if (config->balancers.size() == 0) return;
  const auto* found = config->balancers.find(session_.service->service.host);
  if (found != nullptr) balancer_ = *found;
}

// Counting first and looking then cannot let two in where there is room for one.
bool Peers::admitted() noexcept {
  const auto& breaker = first_->upstream().breaker;
  if (!breaker) return true;
  counted_ = true;
  const std::uint32_t others = first_->group().requests.fetch_add(1, relaxed);
  return breaker->max_connections == 0 || others < breaker->max_connections;
}

bool Peers::may_retry() noexcept {
  const auto& breaker = first_->upstream().breaker;
  if (!breaker) return true;
  ++retries_;
  const std::uint32_t others = first_->group().retries.fetch_add(1, relaxed);
  if (breaker->max_retries != 0 && others >= breaker->max_retries) return false;
  if (breaker->retry_budget <= 0) return true;
  const auto share = static_cast<std::uint32_t>(first_->group().requests.load(relaxed) * breaker->retry_budget / 100);
  return others < std::max(share, retries_always_allowed);
}

// Of all that an upstream may hash, a stream has the client's address.
std::uint32_t Peers::hash() const {
  using From = entity::HashInput::From;
  const entity::Upstream& upstream = balancer_->upstream();
  if (upstream.algorithm != entity::Algorithm::consistent_hashing) return 0;
  const bool by_ip = upstream.hash_on.from == From::ip || upstream.hash_fallback.from == From::ip;
  return upstream::ring_hash(by_ip ? std::string_view(session_.client_ip) : std::string_view{});
}

Task<Result<net::SocketAddress>> Peers::next() {
  const snapshot::Upstream& service = *session_.service;
  if (service.literal) co_return *service.literal;
  if (!balancer_) {
    Result<net::SocketAddress> found = co_await host_.resolver.resolve(service.service.host, service.service.port);
    co_return found;
  }
  release();
  if (tried_.empty()) {
    if (!admitted()) co_return unavailable("the circuit breaker of the upstream is open");
  } else {
    if (!may_retry()) co_return unavailable("the upstream's retries are used up");
    take_newest();
  }
  const std::uint32_t of_client = hash();
  peer_ = balancer_->pick(of_client, tried_);
  for (std::chrono::milliseconds waited{0}; peer_ == nullptr && balancer_->settling() && waited < longest_wait; waited += between_looks) {
    net::Pause pause(host_.loop, between_looks);
    co_await pause;
    take_newest();
    peer_ = balancer_->pick(of_client, tried_);
  }
  if (peer_ == nullptr) co_return unavailable("no peer of upstream " + service.service.host + " is usable");
  peer_->state->in_flight.fetch_add(1, relaxed);
  tried_.push_back(peer_->state.get());
  picked_ = Steady::now();
  co_return peer_->address;
}

unsigned Peers::status_of(const Error& error) const noexcept { return balancer_ || net::Resolver::is_name_error(error) ? status_no_service : status_no_route; }

std::string Peers::server_name() const {
  if (session_.route->preserve_host && !session_.sni.empty()) return session_.sni;
  const std::string& host = peer_ != nullptr ? peer_->host : session_.service->service.host;
  return host.size() > 2 && host.front() == '[' ? host.substr(1, host.size() - 2) : host;
}

// A stream has no status: that it could be opened is the good that can be said of a peer.
void Peers::connected() {
  if (peer_ == nullptr) return;
  balancer_->answered(*peer_, status_ok, std::chrono::duration_cast<std::chrono::microseconds>(Steady::now() - picked_));
}

bool Peers::is_our_own(const Error& error) noexcept {
  namespace errc = boost::system::errc;
  const auto& code = error.code;
  return code == errc::too_many_files_open || code == errc::too_many_files_open_in_system || code == errc::no_buffer_space || code == errc::not_enough_memory ||
         code == errc::address_not_available;
}

void Peers::failed(const Error& error) {
  if (peer_ == nullptr || is_our_own(error)) return;
  const bool late = error.code == boost::asio::error::timed_out;
  balancer_->failed(*peer_, late ? upstream::Event::timeout : upstream::Event::tcp_failure);
}

}  // namespace gateway::proxy::stream
