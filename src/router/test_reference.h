#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "router/query.h"
#include "router/regex.h"

namespace gateway::router {

/// For tests: what Table must answer, found by trying every route in turn. Says the rules once more, in the plainest way,
/// and shares nothing with the table but the regular expressions.
class Reference {
 public:
  explicit Reference(Flavour flavour) : flavour_(flavour) {}

  void set(std::shared_ptr<const entity::Route> route) {
    erase(route->id);
    routes_.push_back(std::move(route));
  }
  void erase(const Uuid& id) {
    std::erase_if(routes_, [&](const auto& route) { return route->id == id; });
  }

  /// The winner and the path of it that matched; nothing for a route without paths.
  [[nodiscard]] std::optional<std::pair<const entity::Route*, std::string>> match(const Query& query) const {
    std::optional<Candidate> best;
    for (const auto& route : routes_) {
      if ((route->protocols & 0x0F) == 0 || !others_match(*route, query)) continue;
      if (route->paths.empty()) keep_better(best, candidate(*route, "", 0));
      for (std::size_t i = 0; i < route->paths.size(); ++i) {
        if (path_matches(route->paths[i], query.path)) keep_better(best, candidate(*route, route->paths[i], i));
      }
    }
    if (!best) return std::nullopt;
    return std::pair{best->route, best->path};
  }

 private:
  using Order = std::tuple<int, long, long, long, long, long, long, Uuid, long>;
  struct Candidate {
    Order order;
    const entity::Route* route;
    std::string path;
  };

  static void keep_better(std::optional<Candidate>& best, Candidate candidate) {
    if (!best || candidate.order > best->order) best = std::move(candidate);
  }

  [[nodiscard]] Candidate candidate(const entity::Route& route, const std::string& path, std::size_t number) const {
    const bool regex = path.starts_with('~');
    const bool hosts = !route.hosts.empty();
    const bool wild = std::any_of(route.hosts.begin(), route.hosts.end(), [](auto& h) { return h.find('*') != h.npos; });
    const bool wild_port = std::any_of(route.hosts.begin(), route.hosts.end(), [](auto& h) { return h.find('*') != h.npos && h.find(':') != h.npos; });
    const int used = int{hosts} + !route.headers.empty() + !route.paths.empty() + !route.methods.empty() + !route.snis.empty();
    const long plain = hosts && !wild ? 1 : 0;
    const long headers = static_cast<long>(route.headers.size());
    const long priority = regex ? static_cast<long>(route.regex_priority) : 0;
    const long length = regex ? 0 : static_cast<long>(path.size());
    const long first = -static_cast<long>(number);
    if (flavour_ == Flavour::traditional_compatible) {
      return {{used, plain, headers, regex ? 1 : 0, priority, length, 0, route.id, first}, &route, path};
    }
    const long category =
        (hosts ? 64 : 0) + (route.headers.empty() ? 0 : 32) + (route.paths.empty() ? 0 : 16) + (route.methods.empty() ? 0 : 8) + (route.snis.empty() ? 0 : 4);
    const long weight = (wild_port ? 4 : 0) + (plain != 0 ? 2 : 0) + (regex ? 1 : 0);
    return {{used, category, weight, headers, priority, length, -static_cast<long>(route.created_at), route.id, first}, &route, path};
  }

  static bool path_matches(const std::string& path, std::string_view asked) {
    if (!path.starts_with('~')) return asked.starts_with(path);
    const auto regex = Regex::compile(std::string_view(path).substr(1), Regex::Anchor::start, 10'000);
    return regex && regex->match(asked, nullptr);
  }

  [[nodiscard]] bool host_matches(const std::string& pattern, const Query& query) const {
    std::string host(query.authority);
    std::string port;
    if (const auto colon = host.find(':'); colon != std::string::npos) {
      port = host.substr(colon + 1);
      host.resize(colon);
    }
    if (port.empty()) {
      port = flavour_ == Flavour::traditional ? (query.tls ? "443" : "80") : std::to_string(query.listener_port);
    }
    std::string wanted = pattern;
    if (const auto colon = wanted.find(':'); colon != std::string::npos) {
      if (wanted.substr(colon + 1) != port) return false;
      wanted.resize(colon);
    }
    if (host.empty()) return false;
    const std::size_t more = flavour_ == Flavour::traditional ? 1 : 0;
    if (wanted.front() == '*') return host.size() + 1 >= wanted.size() + more && host.ends_with(wanted.substr(1));
    if (wanted.back() == '*') {
      return host.size() + 1 >= wanted.size() + more && host.starts_with(wanted.substr(0, wanted.size() - 1));
    }
    return host == wanted;
  }

  [[nodiscard]] bool others_match(const entity::Route& route, const Query& query) const {
    const auto any = [](const auto& list, auto&& test) { return list.empty() || std::any_of(list.begin(), list.end(), test); };
    if (!any(route.hosts, [&](auto& host) { return host_matches(host, query); })) return false;
    if (!any(route.methods, [&](auto& method) { return method == query.method; })) return false;
    if (query.tls && !any(route.snis, [&](auto& sni) { return sni == query.sni; })) return false;
    return std::all_of(route.headers.begin(), route.headers.end(), [&](const auto& wanted) {
      return std::any_of(query.headers.begin(), query.headers.end(), [&](const http::Header& header) {
        if (header.name != wanted.first) return false;
        return std::any_of(wanted.second.begin(), wanted.second.end(), [&](const std::string& value) {
          if (!value.starts_with("~*")) return value == header.value;
          const auto regex = Regex::compile(std::string_view(value).substr(2), Regex::Anchor::none, 10'000);
          return regex && regex->match(header.value, nullptr);
        });
      });
    });
  }

  Flavour flavour_;
  std::vector<std::shared_ptr<const entity::Route>> routes_;
};

}  // namespace gateway::router
