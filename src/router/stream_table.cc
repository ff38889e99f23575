#include "router/stream_table.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/ascii.h"
#include "router/hash.h"

namespace gateway::router {
namespace {

using entity::bit;
using entity::Endpoint;
using entity::Protocol;

constexpr std::size_t longest_name = 255;

// Where routes are filed.
enum class Key : std::uint64_t { name = 1, source_ip, source_port, destination_ip, destination_port, anything };

std::uint64_t key_of(Key kind, std::string_view what) noexcept { return hash(static_cast<std::uint64_t>(kind), what); }

std::uint64_t key_of(Key kind, std::uint16_t port) noexcept { return mix(static_cast<std::uint64_t>(kind) << 32 | port, 0x9E3779B97F4A7C15ULL); }

std::uint64_t key_of(Key kind, const net::IpAddress& ip) noexcept {
  return key_of(kind, std::string_view(reinterpret_cast<const char*>(ip.bytes.data()), ip.bytes.size()));
}

// A last dot does not count, nor does case (RFC 6066, section 3).
std::string normal_name(std::string_view name) {
  if (name.size() > 1 && name.ends_with('.')) name.remove_suffix(1);
  return lower_case(name);
}

bool is_network(const Endpoint& endpoint) { return endpoint.ip.find('/') != std::string::npos; }

/// Sources or destinations of a route.
class Places {
 public:
  explicit Places(const std::vector<Endpoint>& endpoints) {
    for (const Endpoint& each : endpoints) {
      Place& place = places_.emplace_back();
      place.port = each.port;
      place.any_ip = each.ip.empty() || !place.ips.add(each.ip);
    }
  }

  [[nodiscard]] bool accept(const std::optional<net::IpAddress>& ip, std::uint16_t port) const noexcept {
    return places_.empty() || std::any_of(places_.begin(), places_.end(), [&](const Place& place) {
             return (!place.port || *place.port == port) && (place.any_ip || (ip && place.ips.contains(*ip)));
           });
  }

 private:
  struct Place {
    net::CidrSet ips;
    bool any_ip = false;
    std::optional<std::uint16_t> port;
  };
  std::vector<Place> places_;
};

// An exact address counts most, then a port, then a network.
std::uint64_t weight_of(const std::vector<Endpoint>& endpoints) {
  std::uint64_t weight = 0;
  for (const Endpoint& each : endpoints) {
    if (!each.ip.empty()) weight |= is_network(each) ? 1 : 8;
    if (each.port) weight |= 4;
  }
  return weight;
}

std::uint64_t rank_of(const entity::Route& route, Flavour flavour) {
  const bool snis = !route.snis.empty();
  const bool sources = !route.sources.empty();
  const bool destinations = !route.destinations.empty();
  if (flavour == Flavour::traditional) {
    const std::uint64_t attributes = std::uint64_t{snis} + sources + destinations;
    return attributes << 8 | std::uint64_t{snis} << 2 | std::uint64_t{sources} << 1 | std::uint64_t{destinations};
  }
  const bool strong = snis || (sources && destinations);
  return std::uint64_t{strong} << 61 | weight_of(route.sources) << 4 | weight_of(route.destinations);
}

/// Where a route is found by its sources or destinations; none when one of them is a network and has no port.
std::vector<std::uint64_t> keys_of(const std::vector<Endpoint>& endpoints, Key port, Key ip) {
  std::vector<std::uint64_t> keys;
  for (const Endpoint& each : endpoints) {
    const std::optional<net::IpAddress> address = net::IpAddress::parse(each.ip);
    if (!each.port && !address) return {};
    keys.push_back(each.port ? key_of(port, *each.port) : key_of(ip, *address));
  }
  return keys;
}

}  // namespace

/// A route made ready for matching.
class StreamTable::Compiled {
 public:
  Compiled(std::shared_ptr<const entity::Route> route, Flavour flavour)
      : route_(std::move(route)), sources_(route_->sources), destinations_(route_->destinations), rank_(rank_of(*route_, flavour)) {
    // Kong's other flavour does not look at the age.
    if (flavour == Flavour::traditional) age_ = -route_->created_at;
    for (const std::string& each : route_->snis) names_.push_back(normal_name(each));
    choose_keys();
  }

  /// `name` is in normal form.
  [[nodiscard]] bool accepts(const StreamQuery& query, std::string_view name) const noexcept {
    if ((route_->protocols & accepted_by(query.transport)) == 0) return false;
    // Without TLS there is no name, and what a route says of names does not count.
    if (query.transport == StreamQuery::Transport::tls && !names_.empty() && !is_asked_for(name)) return false;
    return sources_.accept(query.source_ip, query.source_port) && destinations_.accept(query.destination_ip, query.destination_port);
  }

  [[nodiscard]] const std::shared_ptr<const entity::Route>& route() const noexcept { return route_; }
  [[nodiscard]] const std::vector<std::uint64_t>& keys() const noexcept { return keys_; }

  /// Equal only for the same route: ties end with the id, the larger first.
  [[nodiscard]] bool outranks(const Compiled& other) const noexcept {
    if (rank_ != other.rank_) return rank_ > other.rank_;
    if (age_ != other.age_) return age_ > other.age_;
    return other.route_->id < route_->id;
  }

 private:
  // A listener that speaks TLS takes routes for tcp as one for HTTPS takes those for http; never the other way: who asks for
  // TLS is not given plain text.
  static std::uint8_t accepted_by(StreamQuery::Transport transport) noexcept {
    switch (transport) {
      case StreamQuery::Transport::tcp: return bit(Protocol::tcp);
      case StreamQuery::Transport::udp: return bit(Protocol::udp);
      case StreamQuery::Transport::tls: break;
    }
    return bit(Protocol::tls) | bit(Protocol::tls_passthrough) | bit(Protocol::tcp);
  }

  [[nodiscard]] bool is_asked_for(std::string_view name) const noexcept {
    return std::any_of(names_.begin(), names_.end(), [name](const std::string& each) {
      const std::string_view pattern = each;
      if (pattern.starts_with('*')) return name.size() >= pattern.size() && name.ends_with(pattern.substr(1));
      if (pattern.ends_with('*')) return name.size() >= pattern.size() && name.starts_with(pattern.substr(0, pattern.size() - 1));
      return name == pattern;
    });
  }

  void choose_keys() {
    const bool exact = std::none_of(names_.begin(), names_.end(), [](const std::string& each) { return each.find('*') != std::string::npos; });
    if (!names_.empty() && exact) {
      for (const std::string& each : names_) keys_.push_back(key_of(Key::name, each));
      // Where names do not count it has to be found without one.
      if ((route_->protocols & (bit(Protocol::tcp) | bit(Protocol::udp))) == 0) return drop_doubles();
    }
    std::vector<std::uint64_t> more = keys_of(route_->destinations, Key::destination_port, Key::destination_ip);
    if (more.empty()) more = keys_of(route_->sources, Key::source_port, Key::source_ip);
    if (more.empty()) more.push_back(key_of(Key::anything, std::uint16_t{0}));
    keys_.insert(keys_.end(), more.begin(), more.end());
    drop_doubles();
  }
  void drop_doubles() {
    std::sort(keys_.begin(), keys_.end());
    keys_.erase(std::unique(keys_.begin(), keys_.end()), keys_.end());
  }

  std::shared_ptr<const entity::Route> route_;
  Places sources_;
  Places destinations_;
  std::vector<std::string> names_;
  std::vector<std::uint64_t> keys_;
  std::uint64_t rank_;
  std::int64_t age_ = 0;
};

void StreamTable::set(std::shared_ptr<const entity::Route> route) {
  erase(route->id);
  if ((route->protocols & entity::stream_protocols) == 0) return;
  const auto compiled = std::make_shared<const Compiled>(std::move(route), flavour_);
  for (const std::uint64_t key : compiled->keys()) file(key, *compiled);
  routes_.set(compiled->route()->id, compiled);
}

void StreamTable::erase(const Uuid& id) {
  const std::shared_ptr<const Compiled>* found = routes_.find(id);
  if (found == nullptr) return;
  const std::shared_ptr<const Compiled> gone = *found;
  for (const std::uint64_t key : gone->keys()) unfile(key, *gone);
  routes_.erase(id);
}

void StreamTable::file(std::uint64_t key, const Compiled& route) {
  const std::shared_ptr<const Bin>* before = bins_.find(key);
  auto next = before != nullptr ? std::make_shared<Bin>(**before) : std::make_shared<Bin>();
  const auto place = std::find_if(next->begin(), next->end(), [&](const Compiled* each) { return route.outranks(*each); });
  next->insert(place, &route);
  bins_.set(key, std::move(next));
}

void StreamTable::unfile(std::uint64_t key, const Compiled& route) {
  const std::shared_ptr<const Bin>* before = bins_.find(key);
  if ((*before)->size() == 1) {
    bins_.erase(key);
    return;
  }
  auto next = std::make_shared<Bin>(**before);
  std::erase(*next, &route);
  bins_.set(key, std::move(next));
}

std::shared_ptr<const entity::Route> StreamTable::match(const StreamQuery& query) const {
  std::array<char, longest_name> buffer;
  std::string_view name = lower_case(query.sni.substr(0, longest_name), buffer.data());
  if (name.size() > 1 && name.ends_with('.')) name.remove_suffix(1);

  const Compiled* best = nullptr;
  const auto look = [&](std::uint64_t key) {
    const std::shared_ptr<const Bin>* bin = bins_.find(key);
    if (bin == nullptr) return;
    for (const Compiled* each : **bin) {
      if (best != nullptr && !each->outranks(*best)) return;
      if (!each->accepts(query, name)) continue;
      best = each;
      return;
    }
  };
  if (!name.empty()) look(key_of(Key::name, name));
  look(key_of(Key::destination_port, query.destination_port));
  if (query.destination_ip) look(key_of(Key::destination_ip, *query.destination_ip));
  look(key_of(Key::source_port, query.source_port));
  if (query.source_ip) look(key_of(Key::source_ip, *query.source_ip));
  look(key_of(Key::anything, std::uint16_t{0}));
  return best != nullptr ? best->route() : nullptr;
}

}  // namespace gateway::router
