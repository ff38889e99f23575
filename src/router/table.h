#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/shared_map.h"
#include "base/uuid.h"
#include "entity/route.h"
#include "router/compiled_route.h"
#include "router/crowd.h"
#include "router/flat_index.h"
#include "router/query.h"

namespace gateway::router {

/// All routes for HTTP, built to find the one that serves a request among 100,000.
///
/// An entry (one host and one path of a route) is filed under a hash of its host and the beginning of its path:
/// the whole prefix, or what a regular expression surely begins with. A look-up asks for the few hosts a request
/// can be meant for and, under each, only the lengths of beginnings that occur there, so that its cost does not
/// depend on how many other routes there are. Entries that want headers are filed under one of these too, and regular
/// expressions under text they need further on. Of what is found and accepts the request the highest rank wins.
///
/// Copies share their parts; changing a copy copies only what it touches. One writer per copy; any number of
/// threads may match at once in a copy nobody changes.
class Table {
 public:
  explicit Table(Flavour flavour = Flavour::traditional_compatible) : flavour_(flavour) {}

  /// Adds the route, or puts it in place of the one with its id. One that takes no HTTP is only taken out.
  void set(std::shared_ptr<const entity::Route> route);
  void erase(const Uuid& id);

  /// Takes no lock and, on the usual path, no memory.
  [[nodiscard]] std::optional<Match> match(const Query& query) const;

  [[nodiscard]] Flavour flavour() const noexcept { return flavour_; }
  [[nodiscard]] std::size_t size() const noexcept { return routes_.size(); }

 private:
  class Search;

  struct Identity {
    std::size_t operator()(std::uint64_t key) const noexcept { return key; }
  };
  /// Under one host: how many entries begin with `length` known bytes, by what they are filed under besides.
  struct Lane {
    std::uint32_t length = 0;
    std::array<std::uint32_t, 3> count{};  // by Filing

    [[nodiscard]] std::uint32_t of(Filing filing) const noexcept { return count[static_cast<std::size_t>(filing)]; }
  };
  using Lanes = std::vector<Lane>;                                       // shortest first
  using Lengths = std::vector<std::pair<std::uint32_t, std::uint32_t>>;  // length and count

  void insert(const Entry& entry);
  void remove(const Entry& entry);
  void file(std::uint64_t key, const Entry& entry);
  void unfile(std::uint64_t key, const Entry& entry);
  void count_lane(const Entry& entry, int change);
  void count_host(const Entry& entry, int change);
  void count_header(const Entry& entry, int change);

  Flavour flavour_;
  FlatIndex hosts_;  // host key -> summary of its lanes, see table.cc
  FlatIndex bins_;   // entry key -> the only entry, or a mark that there is a crowd
  SharedMap<std::uint64_t, std::shared_ptr<const Lanes>, Identity> lanes_;
  SharedMap<std::uint64_t, std::shared_ptr<const Crowd>, Identity> crowds_;
  SharedMap<Uuid, std::shared_ptr<const CompiledRoute>> routes_;    // keeps alive what the others point to
  SharedMap<std::uint64_t, std::uint32_t, Identity> header_names_;  // that entries are filed under, and how many
  Lengths suffixes_;                                                // of wildcard hosts
  Lengths prefixes_;
  std::size_t with_port_ = 0;  // entries of which the host names a port
};

}  // namespace gateway::router
