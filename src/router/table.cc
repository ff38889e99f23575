#include "router/table.h"

#include <algorithm>
#include <bit>

#include "router/hash.h"

namespace gateway::router {
namespace {

// A host's summary has bit n set when a lane of length n exists; the last bit when there are lanes that cannot
// be told so. Most hosts fit, and need no look at their lanes. Where a host has one entry, as where every tenant
// has a host, the summary is that entry, marked by the bit before the last, and saves looking for it.
constexpr std::uint64_t look_closer = std::uint64_t{1} << 63;
constexpr std::uint64_t only_entry = std::uint64_t{1} << 62;
constexpr std::uint32_t lengths_in_summary = 62;

// No entry has this address.
constexpr std::uint64_t crowd_mark = 1;

std::uint64_t pack(const Entry* entry) noexcept { return reinterpret_cast<std::uintptr_t>(entry); }
const Entry* unpack(std::uint64_t word) noexcept {
  return reinterpret_cast<const Entry*>(static_cast<std::uintptr_t>(word));
}

bool takes_http(const entity::Route& route) noexcept {
  using entity::Protocol;
  return (route.protocols & (bit(Protocol::http) | bit(Protocol::https) | bit(Protocol::grpc) | bit(Protocol::grpcs))) != 0;
}

}  // namespace

/// One look-up: goes from place to place and keeps the best entry so far.
class Table::Search {
 public:
  Search(const Table& table, const Query& query) noexcept : table_(table), subject_(query, table.flavour_) {}

  void run() {
    if (!subject_.host.empty()) {
      host(HostKind::exact, subject_.host);
      wildcards(HostKind::suffix, table_.suffixes_);
      wildcards(HostKind::prefix, table_.prefixes_);
    }
    place(any_host());
  }

  [[nodiscard]] std::optional<Match> result() const {
    if (best_ == nullptr) return std::nullopt;
    std::optional<Match> match(std::in_place);
    match->route = best_->route;
    match->path_matched = best_->has_path;
    match->regex = best_->regex != nullptr;
    if (match->regex) {
      match->captures = captures_;
      match->matched_path = captures_[0];
    } else {
      match->matched_path = subject_.query.path.substr(0, best_->path.size());
    }
    return match;
  }

 private:
  static std::uint64_t any_host() noexcept {
    static const std::uint64_t key = host_key(HostKind::none, {}, 0);
    return key;
  }

  void wildcards(HostKind kind, const Lengths& lengths) {
    // By lengths that occur rather than dots in the request: those are not the client's to choose.
    for (const auto& [length, count] : lengths) {
      if (length > subject_.host.size()) continue;
      host(kind, kind == HostKind::suffix ? subject_.host.substr(subject_.host.size() - length) : subject_.host.substr(0, length));
    }
  }

  void host(HostKind kind, std::string_view text) {
    place(host_key(kind, text, 0));
    if (table_.with_port_ != 0) place(host_key(kind, text, subject_.port));
  }

  void place(std::uint64_t host_key) {
    std::uint64_t lengths = table_.hosts_.find(host_key);
    if (lengths == 0) return;
    if ((lengths & (look_closer | only_entry)) == only_entry) {
      (void)consider(*unpack(lengths & ~only_entry));
      return;
    }
    const std::string_view path = subject_.query.path;
    PrefixHash hashes(host_key, path);
    if ((lengths & look_closer) != 0) return closely(host_key, hashes);
    for (; lengths != 0; lengths &= lengths - 1) {
      const auto length = static_cast<std::size_t>(std::countr_zero(lengths));
      if (length > path.size()) return;
      bin(hashes.at(length));
    }
  }

  void closely(std::uint64_t host_key, PrefixHash& hashes) {
    const auto* lanes = table_.lanes_.find(host_key);
    if (lanes == nullptr) return;
    for (const Lane& lane : **lanes) {
      if (lane.length > subject_.query.path.size()) return;
      const std::uint64_t key = hashes.at(lane.length);
      if (lane.header.empty()) {
        bin(key);
        continue;
      }
      std::size_t seen = 0;
      for (const http::Header& header : subject_.query.headers) {
        if (++seen > headers_looked_at) break;
        if (http::equals_ignoring_case(header.name, lane.header)) bin(header_key(key, lane.header, header.value));
      }
    }
  }

  void bin(std::uint64_t key) {
    const std::uint64_t word = table_.bins_.find(key);
    if (word == 0) return;
    if (word != crowd_mark) {
      (void)consider(*unpack(word));
      return;
    }
    const auto* crowd = table_.crowds_.find(key);
    if (crowd == nullptr) return;
    for (const Entry* entry : **crowd) {
      if (consider(*entry)) return;
    }
  }

  // True when nothing that ranks lower needs to be looked at.
  bool consider(const Entry& entry) {
    if (best_ != nullptr && !outranks(entry, *best_)) return true;
    if (!entry.accepts(subject_, captures_)) return false;
    best_ = &entry;
    return true;
  }

  const Table& table_;
  const Subject subject_;
  const Entry* best_ = nullptr;
  Captures captures_;
};

std::optional<Match> Table::match(const Query& query) const {
  Search search(*this, query);
  search.run();
  return search.result();
}

void Table::set(std::shared_ptr<const entity::Route> route) {
  const Uuid id = route->id;
  erase(id);
  if (!takes_http(*route)) return;
  auto compiled = std::make_shared<const CompiledRoute>(std::move(route), flavour_);
  for (const Entry& entry : compiled->entries()) insert(entry);
  routes_.set(id, std::move(compiled));
}

void Table::erase(const Uuid& id) {
  const auto* found = routes_.find(id);
  if (found == nullptr) return;
  for (const Entry& entry : (*found)->entries()) remove(entry);
  routes_.erase(id);
}

void Table::insert(const Entry& entry) {
  count_lane(entry, 1);
  count_host(entry, 1);
  const std::uint64_t word = bins_.find(entry.key);
  if (word == 0) return bins_.set(entry.key, pack(&entry));
  Crowd crowd;
  if (word == crowd_mark) {
    const Crowd& old = **crowds_.find(entry.key);
    crowd.reserve(old.size() + 1);
    crowd = old;
  } else {
    crowd.push_back(unpack(word));
    bins_.set(entry.key, crowd_mark);
  }
  const auto better = [](const Entry* a, const Entry* b) { return outranks(*a, *b); };
  crowd.insert(std::upper_bound(crowd.begin(), crowd.end(), &entry, better), &entry);
  crowds_.set(entry.key, std::make_shared<const Crowd>(std::move(crowd)));
}

void Table::remove(const Entry& entry) {
  count_lane(entry, -1);
  count_host(entry, -1);
  if (bins_.find(entry.key) != crowd_mark) return bins_.erase(entry.key);
  Crowd crowd = **crowds_.find(entry.key);
  std::erase(crowd, &entry);
  if (crowd.size() == 1) {
    bins_.set(entry.key, pack(crowd.front()));
    crowds_.erase(entry.key);
  } else {
    crowds_.set(entry.key, std::make_shared<const Crowd>(std::move(crowd)));
  }
}

void Table::count_lane(const Entry& entry, int change) {
  const auto* found = lanes_.find(entry.host_key);
  Lanes lanes = found != nullptr ? **found : Lanes{};
  const std::string_view header = entry.owner->index_header();
  auto at = std::find_if(lanes.begin(), lanes.end(),
                         [&](const Lane& lane) { return lane.length >= entry.path.size(); });
  while (at != lanes.end() && at->length == entry.path.size() && at->header != header) ++at;
  if (at == lanes.end() || at->length != entry.path.size()) {
    at = lanes.insert(at, {static_cast<std::uint32_t>(entry.path.size()), 0, std::string(header)});
  }
  at->count += static_cast<std::uint32_t>(change);
  if (at->count == 0) lanes.erase(at);
  if (lanes.empty()) {
    lanes_.erase(entry.host_key);
    hosts_.erase(entry.host_key);
    return;
  }
  std::uint64_t summary = 0;
  for (const Lane& lane : lanes) {
    summary |= lane.header.empty() && lane.length < lengths_in_summary ? std::uint64_t{1} << lane.length : look_closer;
  }
  if (found == nullptr) summary = only_entry | pack(&entry);
  if (hosts_.find(entry.host_key) != summary) hosts_.set(entry.host_key, summary);
  lanes_.set(entry.host_key, std::make_shared<const Lanes>(std::move(lanes)));
}

void Table::count_host(const Entry& entry, int change) {
  if (entry.port != 0) with_port_ += static_cast<std::size_t>(change);
  if (entry.host_kind != HostKind::suffix && entry.host_kind != HostKind::prefix) return;
  Lengths& lengths = entry.host_kind == HostKind::suffix ? suffixes_ : prefixes_;
  const auto length = static_cast<std::uint32_t>(entry.host.size());
  auto at = std::find_if(lengths.begin(), lengths.end(), [&](const auto& known) { return known.first == length; });
  if (at == lengths.end()) at = lengths.insert(at, {length, 0});
  at->second += static_cast<std::uint32_t>(change);
  if (at->second == 0) lengths.erase(at);
}

}  // namespace gateway::router
