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

// Patterns it is not worth looking for texts for, and the most texts that are kept apart.
constexpr std::size_t few_patterns = 8;
constexpr std::size_t most_texts = 64;

// No entry has this address.
constexpr std::uint64_t crowd_mark = 1;

std::uint64_t pack(const Entry* entry) noexcept { return reinterpret_cast<std::uintptr_t>(entry); }
const Entry* unpack(std::uint64_t word) noexcept {
  return reinterpret_cast<const Entry*>(static_cast<std::uintptr_t>(word));  // NOLINT(performance-no-int-to-ptr): as packed
}

bool takes_http(const entity::Route& route) noexcept { return (route.protocols & entity::http_protocols) != 0; }

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
      if (lane.of(Filing::nothing_more) != 0) bin(key);
      if (lane.of(Filing::header) != 0) headers(key);
      if (lane.of(Filing::text) != 0) texts(key, subject_.query.path.substr(lane.length));
    }
  }

  void headers(std::uint64_t path_key) {
    if (!headers_read_) read_headers();
    for (std::size_t i = 0; i < header_hashes_used_; ++i) bin(header_key(path_key, header_hashes_[i]));
  }

  // Once per look-up, and only of headers that some route asks for.
  void read_headers() {
    headers_read_ = true;
    const auto add = [&](std::uint64_t hash) {
      const auto end = header_hashes_.begin() + static_cast<std::ptrdiff_t>(header_hashes_used_);
      if (std::find(header_hashes_.begin(), end, hash) == end) header_hashes_[header_hashes_used_++] = hash;
    };
    std::size_t seen = 0;
    for (const http::Header& header : subject_.query.headers) {
      if (++seen > headers_looked_at) break;
      const std::uint64_t name = header_name_hash(header.name);
      if (table_.header_names_.find(name) == nullptr) continue;
      add(name);
      add(header_value_hash(name, header.value));
    }
  }

  // Patterns need a text that may be anywhere in the rest of the path. Few are simply tried; of many, those of which
  // the end of the text occurs.
  void texts(std::uint64_t path_key, std::string_view rest) {
    const std::uint64_t all = any_text_key(path_key);
    const std::size_t windows = rest.size() < text_window ? 0 : rest.size() - text_window + 1;
    if (windows == 0) return;
    if (count_in_bin(all) <= windows / 4 + few_patterns) return bin(all);
    std::array<std::uint64_t, most_texts> found;
    std::size_t used = 0;
    for (std::size_t i = 0; i < windows; ++i) {
      const std::uint64_t key = text_key(path_key, rest.data() + i);
      if (table_.bins_.find(key) == 0) continue;
      const auto end = found.begin() + static_cast<std::ptrdiff_t>(used);
      if (std::find(found.begin(), end, key) != end) continue;
      if (used == most_texts) return bin(all);
      found[used++] = key;
    }
    for (std::size_t i = 0; i < used; ++i) bin(found[i]);
  }

  [[nodiscard]] std::size_t count_in_bin(std::uint64_t key) const {
    const std::uint64_t word = table_.bins_.find(key);
    if (word != crowd_mark) return word == 0 ? 0 : 1;
    const auto* crowd = table_.crowds_.find(key);
    return crowd == nullptr ? 0 : (*crowd)->size();
  }

  void bin(std::uint64_t key) {
    const std::uint64_t word = table_.bins_.find(key);
    if (word == 0) return;
    if (word != crowd_mark) {
      (void)consider(*unpack(word));
      return;
    }
    const auto* crowd = table_.crowds_.find(key);
    if (crowd != nullptr) (*crowd)->visit(subject_.method, [this](const Entry& entry) { return consider(entry); });
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
  bool headers_read_ = false;
  std::size_t header_hashes_used_ = 0;
  std::array<std::uint64_t, 2 * headers_looked_at> header_hashes_;  // not cleared: most look-ups need none
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
  count_header(entry, 1);
  file(entry.key, entry);
  if (entry.filing == Filing::text) file(entry.also_key, entry);
}

void Table::remove(const Entry& entry) {
  count_lane(entry, -1);
  count_host(entry, -1);
  count_header(entry, -1);
  unfile(entry.key, entry);
  if (entry.filing == Filing::text) unfile(entry.also_key, entry);
}

void Table::file(std::uint64_t key, const Entry& entry) {
  const std::uint64_t word = bins_.find(key);
  if (word == 0) return bins_.set(key, pack(&entry));
  Crowd crowd;
  if (word == crowd_mark) {
    crowd = **crowds_.find(key);
  } else {
    crowd.add(*unpack(word));
    bins_.set(key, crowd_mark);
  }
  crowd.add(entry);
  crowds_.set(key, std::make_shared<const Crowd>(std::move(crowd)));
}

void Table::unfile(std::uint64_t key, const Entry& entry) {
  if (bins_.find(key) != crowd_mark) return bins_.erase(key);
  Crowd crowd = **crowds_.find(key);
  crowd.remove(entry);
  if (crowd.size() == 1) {
    bins_.set(key, pack(crowd.front()));
    crowds_.erase(key);
  } else {
    crowds_.set(key, std::make_shared<const Crowd>(std::move(crowd)));
  }
}

void Table::count_lane(const Entry& entry, int change) {
  const auto* found = lanes_.find(entry.host_key);
  Lanes lanes = found != nullptr ? **found : Lanes{};
  const auto length = static_cast<std::uint32_t>(entry.path.size());
  auto at = std::find_if(lanes.begin(), lanes.end(), [&](const Lane& lane) { return lane.length >= length; });
  if (at == lanes.end() || at->length != length) at = lanes.insert(at, Lane{length, {}});
  at->count[static_cast<std::size_t>(entry.filing)] += static_cast<std::uint32_t>(change);
  if (at->count == Lane{}.count) lanes.erase(at);
  if (lanes.empty()) {
    lanes_.erase(entry.host_key);
    hosts_.erase(entry.host_key);
    return;
  }
  std::uint64_t summary = 0;
  for (const Lane& lane : lanes) {
    const bool simple = lane.of(Filing::header) == 0 && lane.of(Filing::text) == 0 && lane.length < lengths_in_summary;
    summary |= simple ? std::uint64_t{1} << lane.length : look_closer;
  }
  if (found == nullptr) summary = only_entry | pack(&entry);
  if (hosts_.find(entry.host_key) != summary) hosts_.set(entry.host_key, summary);
  lanes_.set(entry.host_key, std::make_shared<const Lanes>(std::move(lanes)));
}

void Table::count_header(const Entry& entry, int change) {
  if (entry.filing != Filing::header) return;
  const std::uint64_t name = header_name_hash(entry.owner->index_header());
  const std::uint32_t* known = header_names_.find(name);
  const std::uint32_t count = (known != nullptr ? *known : 0) + static_cast<std::uint32_t>(change);
  if (count == 0) {
    header_names_.erase(name);
  } else {
    header_names_.set(name, count);
  }
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
