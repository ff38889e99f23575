#include "upstream/directory.h"

#include <algorithm>
#include <charconv>

#include "base/log.h"
#include "net/ip.h"
#include "upstream/balancing/random.h"

namespace gateway::upstream {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds beat{100};
constexpr seconds kept_for{300};  // what is known of a peer that no target leads to any more
constexpr seconds between_cleanings{10};
constexpr milliseconds least_ttl{1000};  // names whose answers may not be kept are asked for this often
constexpr seconds longest_wait{30};      // between look-ups that fail

std::string unbracketed(const std::string& name) { return name.starts_with('[') ? name.substr(1, name.size() - 2) : name; }

// Of "ip:port", IPv6 in brackets.
std::optional<net::SocketAddress> address_in(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  std::uint16_t port = 0;
  const auto parsed = std::from_chars(text.data() + colon + 1, text.data() + text.size(), port);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return net::SocketAddress::from_ip(unbracketed(text.substr(0, colon)), port);
}

// Of a whole interval, so that not all of many upstreams are at it in the same moment.
milliseconds jittered(milliseconds interval) {
  const auto most = static_cast<std::uint32_t>(std::min<std::int64_t>(interval.count() / 10, 1000));
  return interval - milliseconds(most == 0 ? 0 : random_below(most));
}

}  // namespace

Directory::Directory(net::Loop& loop, const net::Resolver::Options& dns, Publish publish, Certificates certificates, tls::ClientOptions trust)
    : loop_(loop),
      resolver_(std::make_shared<net::Resolver>(loop, dns)),
      prober_(loop, std::move(trust)),
      publish_(std::move(publish)),
      certificates_(std::move(certificates)),
      timer_(
          loop.deadlines(), [](void* directory) { static_cast<Directory*>(directory)->tick(); }, this) {
  timer_.set(beat);
}

Directory::~Directory() { *alive_ = false; }

// Configuration

void Directory::touch(const ManagedPtr& managed) {
  if (!std::exchange(managed->dirty, true)) dirty_.push_back(managed);
  if (std::exchange(flushing_, true)) return;
  loop_.post([this, alive = alive_] {
    if (*alive) flush();
  });
}

void Directory::flush() {
  flushing_ = false;
  if (stopped_) return;
  const std::vector<ManagedPtr> changed = std::exchange(dirty_, {});
  // A name that one upstream gave up may be another's now: first all leave, then all come.
  for (const ManagedPtr& managed : changed) {
    managed->dirty = false;
    if (managed->gone || managed->published.empty() || managed->published == managed->upstream->name) continue;
    publish_(managed->published, nullptr);
    managed->published.clear();
  }
  for (const ManagedPtr& managed : changed) {
    if (!managed->gone) rebuild(managed);
  }
}

void Directory::set_dns(const net::Resolver::Options& dns) {
  // Those who wait for the old one ask the new one.
  std::exchange(resolver_, std::make_shared<net::Resolver>(loop_, dns))->cancel();
  for (const auto& [id, managed] : upstreams_) {
    for (auto& [target, entry] : managed->targets) entry.due = {};
    managed->names_due = {};
  }
}

void Directory::set_upstream(entity::Upstream upstream) {
  ManagedPtr& managed = upstreams_[upstream.id];
  if (!managed) managed = std::make_shared<Managed>();
  const std::shared_ptr<const entity::Upstream> before = managed->upstream;
  if (!before || before->name != upstream.name) managed->group = std::make_shared<Group>(upstream.name);
  managed->upstream = std::make_shared<const entity::Upstream>(std::move(upstream));
  managed->group->slow_start_ms = managed->upstream->outliers ? managed->upstream->outliers->slow_start.count() : 0;
  if (before && before->name != managed->upstream->name) {
    // What is known of peers is tied to the group, and with it to the name in the log.
    managed->peers.clear();
    for (auto& [id, entry] : managed->targets) {
      for (Address& address : entry.addresses) address.state = peer_of(*managed, entry.target.name, address.address);
    }
  }
  if (!managed->upstream->health.in_use()) {
    // Nobody would ever find out that they are well again.
    for (auto& [key, known] : managed->peers) {
      if (!known.state->health().usable()) known.state->mark(true);
    }
  }
  if (!managed->upstream->outliers) managed->ejections.end();
  schedule(*managed, before.get());
  touch(managed);
}

void Directory::erase_upstream(const Uuid& id) {
  const auto found = upstreams_.find(id);
  if (found == upstreams_.end()) return;
  const ManagedPtr managed = std::move(found->second);
  upstreams_.erase(found);
  managed->gone = true;
  for (const auto& [target, entry] : managed->targets) upstream_of_.erase(target);
  if (!stopped_ && !managed->published.empty()) publish_(managed->published, nullptr);
}

void Directory::set_target(entity::Target target) {
  // One that moves to another upstream leaves the old one.
  const auto owner = upstream_of_.find(target.id);
  if (owner != upstream_of_.end() && owner->second != target.upstream) erase_target(target.id);
  const auto found = upstreams_.find(target.upstream);
  if (found == upstreams_.end()) return;
  const ManagedPtr& managed = found->second;
  upstream_of_[target.id] = target.upstream;
  Entry& entry = managed->targets[target.id];
  const bool same_place = entry.target.name == target.name && entry.target.port == target.port;
  entry.target = std::move(target);
  if (!same_place) {
    entry.addresses.clear();
    entry.settled = entry.literal = false;
    entry.due = {};
    entry.failures = 0;
    entry.dns.clear();
    if (const auto literal = net::SocketAddress::from_ip(unbracketed(entry.target.name), entry.target.port)) {
      entry.literal = entry.settled = true;
      net::Resolver::Answer answer;
      answer.records.push_back({*literal, 0});
      set_addresses(*managed, entry, answer);
      entry.dns = literal->family() == AF_INET6 ? "AAAA" : "A";
    }
  }
  touch(managed);
  if (entry.literal || entry.looking) return;
  managed->names_due = {};
  refresh(managed, Steady::now());
}

void Directory::erase_target(const Uuid& id) {
  const auto owner = upstream_of_.find(id);
  if (owner == upstream_of_.end()) return;
  const auto found = upstreams_.find(owner->second);
  upstream_of_.erase(owner);
  if (found == upstreams_.end()) return;
  found->second->targets.erase(id);
  touch(found->second);
}

// Balancers

void Directory::rebuild(const ManagedPtr& managed) {
  std::vector<const Entry*> entries;
  bool settling = false;
  for (const auto& [id, entry] : managed->targets) {
    entries.push_back(&entry);
    settling |= !entry.settled && entry.target.weight > 0;
  }
  // In an order that is the same on every node: the ring's collisions are settled by it.
  std::sort(entries.begin(), entries.end(), [](const Entry* a, const Entry* b) {
    return a->target.name != b->target.name ? a->target.name < b->target.name : a->target.port < b->target.port;
  });
  for (auto& [key, known] : managed->peers) {
    if (known.forget == Steady::time_point::max()) known.forget = Steady::now() + kept_for;
  }
  std::vector<Peer> peers;
  for (const Entry* entry : entries) {
    std::vector<const Address*> addresses;
    for (const Address& address : entry->addresses) addresses.push_back(&address);
    std::sort(addresses.begin(), addresses.end(), [](const Address* a, const Address* b) { return a->address.to_string() < b->address.to_string(); });
    for (const Address* address : addresses) {
      managed->peers[entry->target.name + '|' + address->address.to_string()].forget = Steady::time_point::max();
      if (entry->target.weight == 0) continue;
      Peer peer;
      peer.address = address->address;
      const std::string& told = managed->upstream->host_header;
      const bool by_record = managed->upstream->use_srv_name && !address->name.empty();
      peer.host = !told.empty() ? told : by_record ? address->name : entry->target.name;
      peer.host_with_port = peer.host + ':' + std::to_string(address->address.port());
      peer.weight = address->weight != 0 ? address->weight : entry->target.weight;
      peer.state = address->state;
      peers.push_back(std::move(peer));
    }
  }
  if (managed->upstream->algorithm == entity::Algorithm::latency) {
    float sum = 0;
    unsigned known = 0;
    for (const Peer& peer : peers) {
      const float latency = peer.state->latency_now();
      sum += latency;
      known += latency > 0 ? 1 : 0;
    }
    if (known > 0) {
      for (const Peer& peer : peers) peer.state->assume_latency(sum / static_cast<float>(known));
    }
  }
  managed->balancer = std::make_shared<const Balancer>(managed->upstream, managed->group, std::move(peers), managed->targets.size(), settling);
  managed->published = managed->upstream->name;
  publish_(managed->published, managed->balancer);
}

std::shared_ptr<PeerState> Directory::peer_of(Managed& managed, const std::string& host, const net::SocketAddress& address) {
  Known& known = managed.peers[host + '|' + address.to_string()];
  if (!known.state) known.state = std::make_shared<PeerState>(managed.group, host, address);
  known.forget = Steady::time_point::max();
  return known.state;
}

void Directory::forget_peers(Managed& managed, Steady::time_point now) {
  std::erase_if(managed.peers, [now](const auto& each) { return each.second.forget <= now; });
}

// Names

void Directory::set_addresses(Managed& managed, Entry& entry, const net::Resolver::Answer& answer) {
  entry.addresses.clear();
  for (const net::Resolver::Record& record : answer.records) {
    // An SRV record without weight takes the least there is (Kong 3.9, balancer).
    const unsigned weight = answer.srv ? std::max(record.weight, 1U) : 0;
    entry.addresses.push_back({record.address, weight, record.name, peer_of(managed, entry.target.name, record.address)});
  }
}

void Directory::refresh(const ManagedPtr& managed, Steady::time_point now) {
  if (now < managed->names_due) return;
  managed->names_due = Steady::time_point::max();
  for (auto& [id, entry] : managed->targets) {
    if (entry.literal || entry.looking) continue;
    if (now < entry.due) {
      managed->names_due = std::min(managed->names_due, entry.due);
      continue;
    }
    entry.looking = true;
    ++under_way_;
    // Through the loop: a look-up that ends at once would change the list that is gone through here.
    loop_.post([this, alive = alive_, managed, target = id] {
      if (*alive) spawn(look_up_target(managed, target));
    });
  }
}

Task<void> Directory::look_up_target(ManagedPtr managed, Uuid target) {
  const auto before = managed->targets.find(target);
  if (stopped_ || managed->gone || before == managed->targets.end()) {
    if (before != managed->targets.end()) before->second.looking = false;
    end_one();
    co_return;
  }
  const std::string host = before->second.target.name;
  const std::uint16_t port = before->second.target.port;
  const std::shared_ptr<net::Resolver> resolver = resolver_;
  const Result<net::Resolver::Answer> answer = co_await resolver->resolve_all(host, port);
  // It may have been replaced meanwhile, and must not end in the middle of its own work.
  const bool replaced = resolver != resolver_;
  if (replaced) loop_.post([resolver] {});
  end_one();
  const auto at = managed->targets.find(target);
  if (stopped_ || managed->gone || at == managed->targets.end()) co_return;
  Entry& entry = at->second;
  entry.looking = false;
  // The target may have become another one in the meantime, or there are other name servers.
  if (entry.target.name != host || entry.target.port != port || (replaced && !answer)) {
    managed->names_due = {};
    co_return;
  }
  const bool was_settled = std::exchange(entry.settled, true);
  const std::vector<Address> before_that = entry.addresses;
  found(*managed, entry, answer);
  managed->names_due = std::min(managed->names_due, entry.due);
  const auto same = [](const Address& a, const Address& b) { return a.address == b.address && a.weight == b.weight && a.name == b.name; };
  const bool changed = !std::equal(before_that.begin(), before_that.end(), entry.addresses.begin(), entry.addresses.end(), same);
  if (changed || !was_settled) touch(managed);
}

void Directory::found(Managed& managed, Entry& entry, const Result<net::Resolver::Answer>& answer) {
  const Steady::time_point now = Steady::now();
  if (answer) {
    // In an order of their own: name servers turn theirs round with every answer.
    net::Resolver::Answer sorted = *answer;
    std::sort(sorted.records.begin(), sorted.records.end(), [](const auto& a, const auto& b) { return a.address.to_string() < b.address.to_string(); });
    set_addresses(managed, entry, sorted);
    const bool is_v6 = !sorted.records.empty() && sorted.records.front().address.family() == AF_INET6;
    entry.dns = answer->srv ? "SRV" : is_v6 ? "AAAA" : "A";
    if (answer->ttl.count() == 0) entry.dns = "ttl=0, virtual SRV";
    entry.failures = 0;
    entry.due = now + std::max(answer->ttl, least_ttl);
    return;
  }
  const std::string why = answer.error().code.message();
  if (entry.failures == 0) log::error("target {} of upstream {}: {}", entry.target.text(), managed.upstream->name, why);
  // An answer that there is nothing counts; no answer leaves things as they were.
  if (net::Resolver::is_name_error(answer.error())) entry.addresses.clear();
  if (entry.addresses.empty()) entry.dns = why;
  const seconds wait = std::min(longest_wait, seconds(1 << std::min(entry.failures, 5U)));
  ++entry.failures;
  entry.due = now + wait;
}

// Health

std::optional<UpstreamHealth> Directory::health(const Uuid& upstream) const {
  const auto found = upstreams_.find(upstream);
  if (found == upstreams_.end()) return std::nullopt;
  const Managed& managed = *found->second;
  UpstreamHealth out;
  out.checked = managed.upstream->health.in_use() || managed.upstream->outliers.has_value();
  std::vector<const Entry*> entries;
  for (const auto& [id, entry] : managed.targets) entries.push_back(&entry);
  std::sort(entries.begin(), entries.end(), [](const Entry* a, const Entry* b) { return a->target.created_at < b->target.created_at; });
  for (const Entry* entry : entries) {
    TargetHealth& target = out.targets.emplace_back();
    target.host = entry->target.name;
    target.port = entry->target.port;
    target.dns = entry->dns;
    target.target_weight = entry->target.weight;
    for (const Address& each : entry->addresses) {
      const unsigned weight = entry->target.weight == 0 ? 0 : each.weight != 0 ? each.weight : entry->target.weight;
      const bool usable = each.state->usable();
      const std::string ip = each.address.family() == AF_INET6 ? '[' + each.address.ip() + ']' : each.address.ip();
      target.addresses.push_back({ip, each.address.port(), weight, usable});
      target.weights.total += weight;
      target.weights.available += usable ? weight : 0;
    }
    out.weights.total += target.weights.total;
    out.weights.available += target.weights.available;
  }
  out.healthy = out.weights.total > 0 && 100.0 * out.weights.available / out.weights.total > managed.upstream->health.threshold;
  return out;
}

std::string Directory::mark(const entity::Target& target, const std::string& address, bool healthy) {
  const auto found = upstreams_.find(target.upstream);
  if (found == upstreams_.end()) return "Upstream " + target.upstream.to_string() + " has no balancer";
  const Managed& managed = *found->second;
  if (!managed.upstream->health.in_use() && !managed.upstream->outliers) return "no healthchecker found for " + managed.upstream->name;
  const auto entry = managed.targets.find(target.id);
  if (entry == managed.targets.end()) return "target not found";
  std::optional<net::SocketAddress> only;
  if (!address.empty()) {
    only = address_in(address);
    if (!only) return "target not found";
  }
  bool any = false;
  for (const Address& each : entry->second.addresses) {
    if (only && !(each.address == *only)) continue;
    each.state->mark(healthy);
    any = true;
  }
  return any ? "" : "target not found";
}

// What happens by itself

void Directory::schedule(Managed& managed, const entity::Upstream* before) {
  const Steady::time_point now = Steady::now();
  const entity::ActiveChecks& active = managed.upstream->health.active;
  const auto plan = [&](Round& round, milliseconds interval, milliseconds was) {
    if (before != nullptr && interval == was) return;
    round.due = interval.count() == 0 ? Steady::time_point::max() : now + jittered(interval);
  };
  const entity::ActiveChecks none;
  const entity::ActiveChecks& old = before != nullptr ? before->health.active : none;
  plan(managed.healthy_round, active.healthy_interval, old.healthy_interval);
  plan(managed.unhealthy_round, active.unhealthy_interval, old.unhealthy_interval);
  const bool looks = managed.upstream->outliers.has_value();
  const bool looked = before != nullptr && before->outliers && looks && before->outliers->interval == managed.upstream->outliers->interval;
  if (!looked) managed.look_due = looks ? now + managed.upstream->outliers->interval : Steady::time_point::max();
}

void Directory::tick() {
  if (stopped_) return;
  timer_.set(beat);
  const Steady::time_point now = Steady::now();
  const bool cleans = now >= next_cleaning_;
  if (cleans) next_cleaning_ = now + between_cleanings;
  for (const auto& [id, managed] : upstreams_) {
    refresh(managed, now);
    if (cleans) forget_peers(*managed, now);
    if (!managed->balancer) continue;
    send_probes(managed, &Managed::healthy_round, true, now);
    send_probes(managed, &Managed::unhealthy_round, false, now);
    if (!managed->upstream->outliers) continue;
    managed->ejections.readmit(now);
    if (now < managed->look_due) continue;
    managed->look_due = now + managed->upstream->outliers->interval;
    managed->ejections.look(managed->balancer->peers(), *managed->upstream->outliers, now);
  }
}

void Directory::send_probes(const ManagedPtr& managed, Round Managed::*round, bool healthy, Steady::time_point now) {
  Round& state = (*managed).*round;
  if (now < state.due || state.running) return;
  const entity::ActiveChecks& checks = managed->upstream->health.active;
  state.due = now + jittered(healthy ? checks.healthy_interval : checks.unhealthy_interval);
  auto queue = std::make_shared<Queue>();
  queue->managed = managed;
  queue->balancer = managed->balancer;
  queue->round = round;
  for (const Peer& peer : managed->balancer->peers()) {
    if (peer.state->health().usable() == healthy) queue->candidates.push_back({peer.state, peer.host});
  }
  if (queue->candidates.empty()) return;
  state.running = true;
  const std::size_t senders = std::min<std::size_t>(std::max(checks.concurrency, 1U), queue->candidates.size());
  queue->running = senders;
  under_way_ += senders;
  for (std::size_t i = 0; i < senders; ++i) spawn(work_off(queue));
}

Task<void> Directory::work_off(std::shared_ptr<Queue> queue) {
  while (queue->next < queue->candidates.size() && !stopped_ && !queue->managed->gone) {
    const Candidate candidate = queue->candidates[queue->next++];
    const std::shared_ptr<const entity::Upstream> upstream = queue->managed->upstream;
    tls::ServerCertificatePtr certificate;
    if (upstream->client_certificate) certificate = certificates_(*upstream->client_certificate);
    const Finding finding = co_await prober_.probe(candidate.peer->address(), upstream, candidate.host, certificate);
    switch (finding.kind) {
      case Finding::Kind::connected: queue->balancer->probe_succeeded(*candidate.peer); break;
      case Finding::Kind::answered:
        if (finding.status == 0) {
          queue->balancer->probe_failed(*candidate.peer, Event::http_failure);
        } else {
          queue->balancer->probed(*candidate.peer, finding.status);
        }
        break;
      case Finding::Kind::tcp_failure: queue->balancer->probe_failed(*candidate.peer, Event::tcp_failure); break;
      case Finding::Kind::timeout: queue->balancer->probe_failed(*candidate.peer, Event::timeout); break;
      case Finding::Kind::aborted: break;
    }
  }
  end_one();
  if (--queue->running == 0) ((*queue->managed).*(queue->round)).running = false;
}

void Directory::end_one() {
  --under_way_;
  if (stopped_ && idle() && ended_) loop_.post(std::exchange(ended_, nullptr));
}

void Directory::stop(std::function<void()> ended) {
  if (std::exchange(stopped_, true)) return;
  if (!idle()) ended_ = std::move(ended);
  timer_.clear();
  prober_.abort();
  resolver_->cancel();
}

}  // namespace gateway::upstream
