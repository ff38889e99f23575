#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "router/query.h"
#include "router/regex.h"

namespace gateway::router {

class CompiledRoute;

/// Host and port of a Host header or a routed host. Port zero: none given.
struct HostPort {
  std::string_view host;
  std::uint16_t port = 0;
};
[[nodiscard]] HostPort split_port(std::string_view authority) noexcept;

enum class HostKind : std::uint8_t { none, exact, suffix, prefix };

/// By what an entry is filed, beyond its host and the beginning of its path.
enum class Filing : std::uint8_t { nothing_more, header, text };

/// Where entries for a host live; see Table.
[[nodiscard]] std::uint64_t host_key(HostKind kind, std::string_view host, std::uint16_t port) noexcept;
/// Names and values of headers, without regard to case.
[[nodiscard]] std::uint64_t header_name_hash(std::string_view name) noexcept;
[[nodiscard]] std::uint64_t header_value_hash(std::uint64_t name_hash, std::string_view value) noexcept;
/// Where, under a host and the beginning of a path, entries live that want a header to be there (hash of its name) or
/// to have one given value (hash of both).
[[nodiscard]] std::uint64_t header_key(std::uint64_t path_key, std::uint64_t header_hash) noexcept;
/// Where, likewise, patterns live that need a path with these `text_window` bytes further on; and all such patterns.
inline constexpr std::size_t text_window = 4;
[[nodiscard]] std::uint64_t text_key(std::uint64_t path_key, const char* window) noexcept;
[[nodiscard]] std::uint64_t any_text_key(std::uint64_t path_key) noexcept;

/// Headers beyond this number are not looked at (Kong 3.9, lua_max_req_headers).
inline constexpr std::size_t headers_looked_at = 100;

/// A request, taken apart once per look-up.
struct Subject {
  Subject(const Query& query, Flavour flavour) noexcept;

  const Query& query;
  std::string_view host;  ///< without port
  std::uint16_t port;     ///< the Host header's, else what the flavour takes in its place
  std::uint16_t method;   ///< bit in Entry::methods
  Flavour flavour;
};

/// One way into a route: one host and one path of it. What a look-up reads of it lies in one cache line, since at
/// many routes every line is a miss; what only ordering and upkeep need lies in the next.
struct alignas(64) Entry {
  std::string_view path;  ///< the prefix, or what the regular expression surely begins with
  std::string_view host;  ///< the part of the pattern beside '*'
  const entity::Route* route = nullptr;
  const CompiledRoute* owner = nullptr;
  const Regex* regex = nullptr;
  std::uint16_t port = 0;
  std::uint16_t methods = 0;  ///< zero: any
  HostKind host_kind = HostKind::none;
  bool has_path = false;
  bool more_checks = false;  ///< headers, SNIs or WebSockets only

  std::uint64_t high = 0;  ///< rank: the higher pair wins
  std::uint64_t low = 0;
  std::uint64_t host_key = 0;
  std::uint64_t key = 0;
  std::uint64_t also_key = 0;  ///< of Filing::text: where all such entries are
  std::uint32_t path_number = 0;
  Filing filing = Filing::nothing_more;

  /// `captures` is written to only if the answer is yes and a regular expression decided it.
  [[nodiscard]] bool accepts(const Subject& subject, Captures& captures) const noexcept;
};

/// The order in which entries are tried. Never equal for entries of different routes.
[[nodiscard]] bool outranks(const Entry& a, const Entry& b) noexcept;

/// A route made ready for matching. Immutable; entries point into it.
class CompiledRoute {
 public:
  CompiledRoute(std::shared_ptr<const entity::Route> route, Flavour flavour);
  CompiledRoute(const CompiledRoute&) = delete;
  CompiledRoute& operator=(const CompiledRoute&) = delete;

  [[nodiscard]] const std::vector<Entry>& entries() const noexcept { return entries_; }
  /// Name of the header that is part of the entries' keys; empty when none is.
  [[nodiscard]] std::string_view index_header() const noexcept { return index_header_; }

  [[nodiscard]] bool accepts_method(std::string_view method) const noexcept;
  [[nodiscard]] bool accepts_headers(const http::Headers& headers) const noexcept;
  /// Routes for WebSockets take nothing else; others take them as well.
  [[nodiscard]] bool accepts_kind(const Query& query) const noexcept;
  [[nodiscard]] bool accepts_sni(const Subject& subject) const noexcept;

 private:
  struct HeaderTest {
    std::string name;
    std::vector<std::string> values;
    std::vector<Regex> patterns;

    [[nodiscard]] bool accepts(std::string_view value) const noexcept;
  };
  struct Path {
    std::string_view text;
    const Regex* regex = nullptr;
    std::uint32_t number = 0;
    std::string text_behind{};  // of every match, see required_text()
  };

  void compile_headers(Flavour flavour);
  void choose_index();
  std::vector<Path> compile_paths(Flavour flavour);
  void add_entries(const std::vector<Path>& paths, Flavour flavour);
  [[nodiscard]] std::string_view keep(std::string_view text);

  std::shared_ptr<const entity::Route> route_;
  std::string texts_;  // what entries' views show; reserved once, never moved
  std::vector<Entry> entries_;
  std::vector<std::unique_ptr<Regex>> regexes_;
  std::vector<HeaderTest> headers_;
  std::string_view index_header_;
  std::vector<std::uint64_t> index_hashes_;  // of its values, or of its name alone
};

}  // namespace gateway::router
