#include "net/dns_cache.h"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace gateway::net {

// ---- entries ----

void DnsEntry::set_found(std::shared_ptr<const DnsAddresses> addresses) {
  found = std::move(addresses);
  credit_.clear();
  if (found != nullptr && found->type == DnsType::srv) credit_.assign(found->list.size(), 0);
}

const DnsAddresses::One& DnsEntry::pick() noexcept {
  const std::vector<DnsAddresses::One>& list = found->list;
  if (credit_.empty()) return list[turn_++ % list.size()];
  // Smooth weighted round robin: each earns its weight, the richest is picked and pays what all earned. So they come mixed,
  // not in runs, and equal ones in the order of the answer.
  std::size_t best = 0;
  std::int64_t total = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    credit_[i] += list[i].weight;
    total += list[i].weight;
    if (credit_[i] > credit_[best]) best = i;
  }
  credit_[best] -= total;
  return list[best];
}

// ---- names ----

DnsEntry* DnsCache::find(std::string_view name) const noexcept {
  auto found = names_.find(name);
  if (found == names_.end() && name.ends_with('.')) {
    found = names_.find(without_last_dot(name));
    if (found != names_.end() && !found->second->pinned) return nullptr;
  }
  return found == names_.end() ? nullptr : found->second;
}

DnsEntry& DnsCache::add(std::string_view name) {
  evict();
  DnsEntry& entry = cache_.emplace_front();
  entry.name = name;
  entry.place_ = cache_.begin();
  names_.emplace(entry.name, &entry);
  return entry;
}

void DnsCache::touch(DnsEntry& entry) noexcept {
  if (!entry.pinned) cache_.splice(cache_.begin(), cache_, entry.place_);
}

void DnsCache::evict() {
  // From the least recently used on; those being looked up are in use.
  for (auto it = cache_.end(); it != cache_.begin() && cache_.size() >= most_;) {
    --it;
    if (it->busy || it->waiters != nullptr) continue;
    names_.erase(it->name);
    it = cache_.erase(it);
  }
}

// ---- the hosts file ----

void DnsCache::pin(std::string_view name, const std::vector<IpAddress>& v4, const std::vector<IpAddress>& v6, const std::vector<DnsType>& prefer) {
  for (const DnsType type : prefer) {
    const std::vector<IpAddress>& addresses = type == DnsType::a ? v4 : v6;
    if (addresses.empty()) continue;
    auto found = std::make_shared<DnsAddresses>();
    found->type = type;
    found->ttl = std::chrono::years(10);
    for (const IpAddress& ip : addresses) found->list.push_back({ip, 0, 0});
    DnsEntry& entry = pinned_.emplace_back();
    entry.name = name;
    entry.pinned = true;
    entry.expires = entry.stale_until = Steady::time_point::max();
    entry.set_found(std::move(found));
    names_.emplace(entry.name, &entry);
    return;
  }
}

void DnsCache::pin_hosts(const std::string& path, const std::vector<DnsType>& prefer) {
  struct Addresses {
    std::vector<IpAddress> v4, v6;
  };
  std::unordered_map<std::string, Addresses, DnsNameHash, DnsNameEqual> hosts;
  std::ifstream file;
  if (!path.empty()) file.open(path);
  std::string text;
  while (std::getline(file, text)) {
    std::istringstream words(text.substr(0, text.find('#')));
    std::string word;
    if (!(words >> word)) continue;
    const std::optional<IpAddress> ip = IpAddress::parse(word);
    if (!ip) continue;
    while (words >> word) {
      Addresses& of_name = hosts[word];
      std::vector<IpAddress>& known = ip->is_v4() ? of_name.v4 : of_name.v6;
      if (std::find(known.begin(), known.end(), *ip) == known.end()) known.push_back(*ip);
    }
  }
  // Always there (RFC 6761, 6.3), and of use only when it is this machine, whatever the file says.
  hosts["localhost"] = {{*IpAddress::parse("127.0.0.1")}, {*IpAddress::parse("::1")}};
  for (const auto& [name, addresses] : hosts) pin(name, addresses.v4, addresses.v6, prefer);
}

}  // namespace gateway::net
