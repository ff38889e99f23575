#include "router/compiled_route.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/ascii.h"
#include "base/log.h"
#include "router/hash.h"
#include "router/rank.h"
#include "router/required_text.h"

namespace gateway::router {
namespace {

constexpr std::uint16_t unusual_method = 1U << 15;

std::uint16_t method_bit(std::string_view method) noexcept {
  if (method.size() == 3 && std::memcmp(method.data(), "GET", 3) == 0) return 1;  // nearly always
  static constexpr std::array<std::string_view, 9> usual = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"};
  const auto found = std::find(usual.begin(), usual.end(), method);
  return found == usual.end() ? unusual_method : static_cast<std::uint16_t>(1U << (found - usual.begin()));
}

// Kong's engine for the compatible flavour matches in linear time and knows no limit; PCRE2 needs one.
constexpr std::uint32_t match_limit(Flavour flavour) noexcept { return flavour == Flavour::traditional ? 10'000 : 100'000; }

// An index entry per value pays only while a route lists few.
constexpr std::size_t most_indexed_values = 32;

bool is_regex_value(std::string_view value) noexcept { return value.starts_with("~*"); }

}  // namespace

HostPort split_port(std::string_view authority) noexcept {
  const auto is_digit = [&](std::size_t at) { return authority[at] >= '0' && authority[at] <= '9'; };
  std::size_t digits = authority.size();
  while (digits > 0 && is_digit(digits - 1)) --digits;
  // "[::1]" has colons but no port.
  if (digits == 0 || authority[digits - 1] != ':') return {authority, 0};
  std::uint32_t port = 0;
  for (std::size_t at = digits; at < authority.size(); ++at) {
    port = port * 10 + static_cast<std::uint32_t>(authority[at] - '0');
    if (port > 65535) return {authority, 0};
  }
  return {authority.substr(0, digits - 1), static_cast<std::uint16_t>(port)};
}

std::uint64_t host_key(HostKind kind, std::string_view host, std::uint16_t port) noexcept {
  return hash(0x8EBC6AF09C88C6E3ULL ^ (static_cast<std::uint64_t>(kind) << 16 | port), host);
}

std::uint64_t header_name_hash(std::string_view name) noexcept { return hash_ignoring_case(0xA24BAED4963EE407ULL, name); }

std::uint64_t header_value_hash(std::uint64_t name_hash, std::string_view value) noexcept { return hash_ignoring_case(name_hash, value); }

std::uint64_t header_key(std::uint64_t path_key, std::uint64_t header_hash) noexcept { return mix(path_key ^ header_hash, 0x9FB21C651E98DF25ULL); }

std::uint64_t text_key(std::uint64_t path_key, const char* window) noexcept {
  std::uint32_t word = 0;
  static_assert(sizeof word == text_window);
  std::memcpy(&word, window, sizeof word);
  return mix(path_key ^ word, 0xD1342543DE82EF95ULL);
}

std::uint64_t any_text_key(std::uint64_t path_key) noexcept { return mix(path_key, 0xF1357AEA2E62A9C5ULL); }

Subject::Subject(const Query& query, Flavour flavour) noexcept : query(query), method(method_bit(query.method)), flavour(flavour) {
  const HostPort split = split_port(query.authority);
  host = split.host;
  port = split.port;
  if (port == 0) port = flavour == Flavour::traditional ? (query.tls ? 443 : 80) : query.listener_port;
}

bool Entry::accepts(const Subject& subject, Captures& captures) const noexcept {
  // Also where the key already says so: keys are hashes, and two texts may share one.
  if (!subject.query.path.starts_with(path)) return false;
  switch (host_kind) {
    case HostKind::none: break;
    case HostKind::exact:
      if (subject.host != host) return false;
      break;
    case HostKind::suffix:
      if (!subject.host.ends_with(host)) return false;
      break;
    case HostKind::prefix:
      if (!subject.host.starts_with(host)) return false;
      break;
  }
  // In the traditional flavour '*' stands for at least one character.
  if (subject.flavour == Flavour::traditional && host_kind > HostKind::exact && subject.host.size() == host.size()) return false;
  if (port != 0 && port != subject.port) return false;
  if (methods != 0) {
    if ((methods & subject.method) == 0) return false;
    if (subject.method == unusual_method && !owner->accepts_method(subject.query.method)) return false;
  }
  if (more_checks && !(owner->accepts_kind(subject.query) && owner->accepts_sni(subject) && owner->accepts_headers(subject.query.headers))) return false;
  return regex == nullptr || regex->match(subject.query.path, &captures);
}

bool outranks(const Entry& a, const Entry& b) noexcept {
  if (a.high != b.high) return a.high > b.high;
  if (a.low != b.low) return a.low > b.low;
  // The compatible flavour prefers the larger id; for traditional any fixed order will do.
  if (const auto order = a.route->id <=> b.route->id; order != 0) return order > 0;
  return a.path_number < b.path_number;
}

CompiledRoute::CompiledRoute(std::shared_ptr<const entity::Route> route, Flavour flavour) : route_(std::move(route)) {
  std::size_t length = 0;
  for (const std::string& host : route_->hosts) length += host.size();
  for (const std::string& path : route_->paths) length += path.size();
  texts_.reserve(length);
  compile_headers(flavour);
  const std::vector<Path> paths = compile_paths(flavour);
  add_entries(paths, flavour);
}

void CompiledRoute::compile_headers(Flavour flavour) {
  headers_.reserve(route_->headers.size());
  for (const auto& [name, values] : route_->headers) {
    HeaderTest& test = headers_.emplace_back();
    test.name = name;
    for (const std::string& value : values) {
      if (!is_regex_value(value) || (flavour == Flavour::traditional && values.size() > 1)) {
        test.values.push_back(lower_case(value));
        continue;
      }
      auto regex = Regex::compile(std::string_view(value).substr(2), Regex::Anchor::none, match_limit(flavour));
      if (regex) {
        test.patterns.push_back(std::move(*regex));
      } else {
        log::error("route {}: header {}: {}", route_->id.to_string(), name, regex.error().to_string());
      }
    }
  }
  choose_index();
}

// A request without the header can never match, nor, where all values are plain, one with another value: the route is
// filed so that such requests do not meet it.
void CompiledRoute::choose_index() {
  if (headers_.empty()) return;
  for (std::size_t i = 0; i < headers_.size(); ++i) {
    const HeaderTest& test = headers_[i];
    // Any value the index does not know would be missed.
    if (test.values.size() != route_->headers[i].second.size() || test.values.empty() || test.values.size() > most_indexed_values) continue;
    index_header_ = test.name;
    const std::uint64_t name = header_name_hash(test.name);
    for (const std::string& value : test.values) index_hashes_.push_back(header_value_hash(name, value));
    // Each value once: an entry per value has its own key, and keys are how entries are taken out again.
    std::sort(index_hashes_.begin(), index_hashes_.end());
    index_hashes_.erase(std::unique(index_hashes_.begin(), index_hashes_.end()), index_hashes_.end());
    return;
  }
  index_header_ = headers_.front().name;
  index_hashes_ = {header_name_hash(index_header_)};
}

std::vector<CompiledRoute::Path> CompiledRoute::compile_paths(Flavour flavour) {
  std::vector<Path> paths;
  paths.reserve(std::max<std::size_t>(route_->paths.size(), 1));
  if (route_->paths.empty()) paths.push_back({});
  for (std::size_t i = 0; i < route_->paths.size(); ++i) {
    const std::string_view text = route_->paths[i];
    const auto number = static_cast<std::uint32_t>(i);
    if (!text.starts_with('~')) {
      paths.push_back({keep(text), nullptr, number});
      continue;
    }
    auto regex = Regex::compile(text.substr(1), Regex::Anchor::start, match_limit(flavour));
    if (!regex) {
      log::error("route {}: path {}: {}", route_->id.to_string(), text, regex.error().to_string());
      continue;
    }
    regexes_.push_back(std::make_unique<Regex>(std::move(*regex)));
    std::string text_behind = required_text(text.substr(1));
    if (text_behind.size() < text_window) text_behind.clear();
    paths.push_back({keep(literal_lead(text.substr(1))), regexes_.back().get(), number, std::move(text_behind)});
  }
  return paths;
}

void CompiledRoute::add_entries(const std::vector<Path>& paths, Flavour flavour) {
  Entry shape;
  shape.route = route_.get();
  shape.owner = this;
  shape.has_path = !route_->paths.empty();
  shape.more_checks = !headers_.empty() || !route_->snis.empty() || (route_->protocols & entity::websocket_protocols) != 0;
  for (const std::string& method : route_->methods) shape.methods |= method_bit(method);

  const auto add = [&](HostKind kind, HostPort host) {
    shape.host_kind = kind;
    shape.host = host.host;
    shape.port = host.port;
    shape.host_key = host_key(kind, host.host, host.port);
    for (const Path& path : paths) {
      Entry entry = shape;
      const Rank order = rank(*route_, path.regex != nullptr, path.regex != nullptr ? 0 : path.text.size(), flavour);
      entry.high = order.high;
      entry.low = order.low;
      entry.path = path.text;
      entry.regex = path.regex;
      entry.path_number = path.number;
      entry.key = hash(entry.host_key, path.text);
      const std::uint64_t path_key = entry.key;
      if (index_hashes_.empty()) {
        if (!path.text_behind.empty()) {
          entry.filing = Filing::text;
          // The end of the text: beginnings ("/v1/") are more often alike.
          entry.key = text_key(path_key, path.text_behind.data() + path.text_behind.size() - text_window);
          entry.also_key = any_text_key(path_key);
        }
        entries_.push_back(entry);
        continue;
      }
      entry.filing = Filing::header;
      for (const std::uint64_t header : index_hashes_) {
        entry.key = header_key(path_key, header);
        entries_.push_back(entry);
      }
    }
  };

  entries_.reserve(std::max<std::size_t>(route_->hosts.size(), 1) * paths.size() * std::max<std::size_t>(index_hashes_.size(), 1));
  if (route_->hosts.empty()) add(HostKind::none, {});
  for (const std::string& text : route_->hosts) {
    HostPort host = split_port(text);
    HostKind kind = HostKind::exact;
    if (host.host.starts_with('*')) {
      kind = HostKind::suffix;
      host.host.remove_prefix(1);
    } else if (host.host.ends_with('*')) {
      kind = HostKind::prefix;
      host.host.remove_suffix(1);
    }
    host.host = keep(host.host);
    add(kind, host);
  }
}

std::string_view CompiledRoute::keep(std::string_view text) {
  const std::size_t at = texts_.size();
  texts_ += text;
  return std::string_view(texts_).substr(at);
}

bool CompiledRoute::accepts_method(std::string_view method) const noexcept {
  return std::find(route_->methods.begin(), route_->methods.end(), method) != route_->methods.end();
}

bool CompiledRoute::accepts_headers(const http::Headers& headers) const noexcept {
  return std::all_of(headers_.begin(), headers_.end(), [&](const HeaderTest& test) {
    std::size_t seen = 0;
    for (const http::Header& header : headers) {
      if (++seen > headers_looked_at) return false;
      if (http::equals_ignoring_case(header.name, test.name) && test.accepts(header.value)) return true;
    }
    return false;
  });
}

bool CompiledRoute::HeaderTest::accepts(std::string_view value) const noexcept {
  for (const std::string& wanted : values) {
    if (http::equals_ignoring_case(value, wanted)) return true;
  }
  if (patterns.empty()) return false;
  // Patterns see the value in lower case.
  thread_local std::string lowered;
  lowered.assign(value);
  std::transform(lowered.begin(), lowered.end(), lowered.begin(), lower);
  return std::any_of(patterns.begin(), patterns.end(), [](const Regex& regex) { return regex.match(lowered, nullptr); });
}

bool CompiledRoute::accepts_kind(const Query& query) const noexcept {
  if ((route_->protocols & entity::websocket_protocols) == 0) return true;
  return query.websocket && (route_->protocols & bit(query.secure ? entity::Protocol::wss : entity::Protocol::ws)) != 0;
}

bool CompiledRoute::accepts_sni(const Subject& subject) const noexcept {
  // Without TLS there is no name to hold against the route, and it is let pass.
  if (route_->snis.empty() || !subject.query.tls) return true;
  const std::string_view sni = subject.query.sni;
  return std::any_of(route_->snis.begin(), route_->snis.end(), [&](std::string_view wanted) {
    if (wanted.ends_with('.')) wanted.remove_suffix(1);
    if (subject.flavour == Flavour::traditional_compatible) {
      if (wanted.starts_with('*')) return !sni.empty() && sni.ends_with(wanted.substr(1));
      if (wanted.ends_with('*')) return sni.starts_with(wanted.substr(0, wanted.size() - 1));
    }
    return !sni.empty() && sni == wanted;
  });
}

}  // namespace gateway::router
