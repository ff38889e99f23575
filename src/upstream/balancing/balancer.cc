#include "upstream/balancing/balancer.h"

#include <algorithm>

#include "base/log.h"
#include "upstream/balancing/random.h"
#include "upstream/balancing/wheel.h"

namespace gateway::upstream {
namespace {

using entity::Algorithm;

// So many are looked at one by one. Beyond, the better of two drawn by weight is as good as makes no difference, at a cost
// that does not grow (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing").
constexpr std::size_t few_peers = 16;
constexpr unsigned draws = 16;        // until one gives up drawing and looks at all
constexpr unsigned wheel_steps = 64;  // the same of the wheel

bool contains(std::span<const PeerState* const> tried, const PeerState* peer) noexcept { return std::find(tried.begin(), tried.end(), peer) != tried.end(); }

std::vector<std::uint32_t> wheel_of(const std::vector<Peer>& peers) {
  std::vector<unsigned> weights;
  weights.reserve(peers.size());
  for (const Peer& peer : peers) weights.push_back(peer.weight);
  return make_wheel(weights);
}

Ring ring_of(const entity::Upstream& upstream, const std::vector<Peer>& peers, std::size_t targets) {
  std::vector<Ring::Member> members;
  members.reserve(peers.size());
  for (const Peer& peer : peers) {
    const bool is_v6 = peer.address.family() == AF_INET6;
    members.push_back({(is_v6 ? '[' + peer.address.ip() + ']' : peer.address.ip()) + "::" + std::to_string(peer.address.port()), peer.weight});
  }
  Ring ring(members, targets, upstream.slots);
  if (!ring.complete()) log::crit("upstream {} has more targets than its {} slots have room for", upstream.name, upstream.slots);
  return ring;
}

}  // namespace

const std::string& Peer::host_header(entity::Protocol protocol) const noexcept {
  using entity::Protocol;
  const std::uint16_t port = address.port();
  const bool usual = (port == 80 && (protocol == Protocol::http || protocol == Protocol::grpc)) ||
                     (port == 443 && (protocol == Protocol::https || protocol == Protocol::grpcs));
  return usual ? host : host_with_port;
}

Balancer::Rules::Rules(const entity::CheckRules& rules) : limits(rules) {
  for (const std::uint16_t status : rules.healthy_statuses) healthy.set(std::min<std::uint16_t>(status, 999));
  for (const std::uint16_t status : rules.unhealthy_statuses) unhealthy.set(std::min<std::uint16_t>(status, 999));
}

void Balancer::Rules::tell(PeerState& peer, Event event) const {
  switch (event) {
    case Event::success: return peer.report(event, limits.successes);
    case Event::tcp_failure: return peer.report(event, limits.tcp_failures);
    case Event::timeout: return peer.report(event, limits.timeouts);
    case Event::http_failure: return peer.report(event, limits.http_failures);
  }
}

// A status in both lists speaks for the peer (lua-resty-healthcheck).
void Balancer::Rules::tell(PeerState& peer, unsigned status) const {
  const unsigned index = std::min(status, 999U);
  if (healthy.test(index)) {
    tell(peer, Event::success);
  } else if (unhealthy.test(index)) {
    tell(peer, Event::http_failure);
  }
}

Balancer::Balancer(std::shared_ptr<const entity::Upstream> upstream, std::shared_ptr<Group> group, std::vector<Peer> peers, std::size_t targets, bool settling)
    : upstream_(std::move(upstream)),
      group_(std::move(group)),
      peers_(std::move(peers)),
      settling_(settling),
      passive_(upstream_->health.passive),
      active_(upstream_->health.active.rules),
      cursor_(random_bits()) {
  for (const Peer& peer : peers_) total_weight_ += peer.weight;
  if (upstream_->algorithm == Algorithm::consistent_hashing) {
    ring_ = ring_of(*upstream_, peers_, targets);
  } else {
    wheel_ = wheel_of(peers_);
  }
}

const Peer* Balancer::pick(std::uint32_t hash, Tried tried) const noexcept {
  if (peers_.empty() || (upstream_->health.threshold > 0 && !healthy())) return nullptr;
  switch (upstream_->algorithm) {
    case Algorithm::round_robin: return next_on_wheel(tried);
    case Algorithm::consistent_hashing: return next_on_ring(hash, tried);
    case Algorithm::least_connections: return peers_.size() <= few_peers ? best_of_all(tried) : better_of_two(tried);
    case Algorithm::latency: return peers_.size() <= 2 ? best_of_all(tried) : better_of_two(tried);
  }
  return nullptr;
}

bool Balancer::takes(const Peer& peer, Tried tried, Pass pass) const noexcept {
  if (pass != Pass::any && contains(tried, peer.state.get())) return false;
  return pass == Pass::fresh_and_warm ? peer.state->admits() : peer.state->usable();
}

const Peer* Balancer::next_on_wheel(Tried tried) const noexcept {
  // One that is passed over uses up its turn: else the one behind it would get two.
  for (unsigned i = 0; i < wheel_steps; ++i) {
    const Peer& peer = peers_[wheel_[cursor_.fetch_add(1, std::memory_order_relaxed) % wheel_.size()]];
    if (takes(peer, tried, Pass::fresh_and_warm)) return &peer;
  }
  return any(tried);
}

const Peer* Balancer::next_on_ring(std::uint32_t hash, Tried tried) const noexcept {
  if (ring_.count() == 0) return nullptr;
  for (const Pass pass : {Pass::fresh, Pass::any}) {
    std::uint32_t place = ring_.place_of(hash);
    for (std::uint32_t i = 0; i < ring_.count(); ++i, place = ring_.place_after(place)) {
      const Peer& peer = peers_[ring_.member_at(place)];
      if (takes(peer, tried, pass)) return &peer;
    }
  }
  return nullptr;
}

const Peer* Balancer::best_of_all(Tried tried) const noexcept {
  const auto count = static_cast<std::uint32_t>(peers_.size());
  for (const Pass pass : {Pass::fresh_and_warm, Pass::fresh, Pass::any}) {
    const Peer* best = nullptr;
    // From anywhere, so that not the first one gets all that find several idle.
    std::uint32_t at = random_below(count);
    for (std::uint32_t i = 0; i < count; ++i) {
      const Peer& peer = peers_[at];
      if (++at == count) at = 0;
      if (takes(peer, tried, pass) && (best == nullptr || is_better(peer, *best))) best = &peer;
    }
    if (best != nullptr) return best;
  }
  return nullptr;
}

const Peer* Balancer::sample(Tried tried) const noexcept {
  for (unsigned i = 0; i < draws; ++i) {
    const Peer& peer = peers_[wheel_[random_below(static_cast<std::uint32_t>(wheel_.size()))]];
    if (takes(peer, tried, Pass::fresh_and_warm)) return &peer;
  }
  return nullptr;
}

const Peer* Balancer::better_of_two(Tried tried) const noexcept {
  const Peer* one = sample(tried);
  if (one == nullptr) return any(tried);
  if (peers_.size() == 1) return one;
  const Peer* other = sample(tried);
  for (unsigned i = 0; i < 4 && other == one; ++i) other = sample(tried);
  return other != nullptr && is_better(*other, *one) ? other : one;
}

const Peer* Balancer::any(Tried tried) const noexcept {
  const auto count = static_cast<std::uint32_t>(peers_.size());
  for (const Pass pass : {Pass::fresh_and_warm, Pass::fresh, Pass::any}) {
    std::uint32_t at = random_below(count);
    for (std::uint32_t i = 0; i < count; ++i) {
      const Peer& peer = peers_[at];
      if (++at == count) at = 0;
      if (takes(peer, tried, pass)) return &peer;
    }
  }
  return nullptr;
}

bool Balancer::is_better(const Peer& a, const Peer& b) const noexcept {
  const auto load = [](const Peer& peer) { return std::uint64_t{peer.state->in_flight.load(std::memory_order_relaxed)} + 1; };
  if (upstream_->algorithm != Algorithm::latency) return load(a) * b.weight < load(b) * a.weight;
  // Requests on their way count, too: all workers would else go for the quickest until its average tells them off.
  const auto cost = [&](const Peer& peer) { return peer.state->latency_now() * static_cast<float>(load(peer)) / static_cast<float>(peer.weight); };
  return cost(a) < cost(b);
}

unsigned Balancer::available_weight() const noexcept {
  const std::uint64_t version = group_->version.load(std::memory_order_acquire);
  if (available_as_of_.load(std::memory_order_acquire) == version) return available_.load(std::memory_order_relaxed);
  unsigned sum = 0;
  for (const Peer& peer : peers_) sum += peer.state->usable() ? peer.weight : 0;
  available_.store(sum, std::memory_order_relaxed);
  available_as_of_.store(version, std::memory_order_release);
  return sum;
}

bool Balancer::healthy() const noexcept { return total_weight_ > 0 && 100.0 * available_weight() / total_weight_ > upstream_->health.threshold; }

void Balancer::answered(const Peer& peer, unsigned status, std::chrono::microseconds latency) const {
  if (upstream_->algorithm == Algorithm::latency) peer.state->observe(latency);
  if (upstream_->outliers) peer.state->count(status >= 500, latency, true);
  if (!upstream_->health.in_use()) return;
  // From wherever it comes, 504 tells of a peer that does not answer (Kong 3.9, balancer).
  if (status == 504) {
    passive_.tell(*peer.state, Event::timeout);
  } else {
    passive_.tell(*peer.state, status);
  }
}

void Balancer::failed(const Peer& peer, Event how) const {
  if (upstream_->outliers) peer.state->count(true, {}, false);
  if (upstream_->health.in_use()) passive_.tell(*peer.state, how);
}

void Balancer::probed(PeerState& peer, unsigned status) const { active_.tell(peer, status); }
void Balancer::probe_failed(PeerState& peer, Event how) const { active_.tell(peer, how); }
void Balancer::probe_succeeded(PeerState& peer) const { active_.tell(peer, Event::success); }

}  // namespace gateway::upstream
