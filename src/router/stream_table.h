#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/shared_map.h"
#include "base/uuid.h"
#include "entity/route.h"
#include "net/ip.h"
#include "router/query.h"

namespace gateway::router {

/// What of a connection, or of a UDP session, the router looks at. Views need to live only as long as the look-up.
struct StreamQuery {
  enum class Transport : std::uint8_t { tcp, tls, udp };  ///< tls: the listener speaks it, whoever will shake hands
  Transport transport = Transport::tcp;
  std::string_view sni;  ///< as the client spelled it; empty when it sent none
  std::optional<net::IpAddress> source_ip;
  std::uint16_t source_port = 0;
  std::optional<net::IpAddress> destination_ip;
  std::uint16_t destination_port = 0;
};

/// All stream routes: which one serves a connection.
///
/// A route is filed under each name it asks for, else under its ports, else under its addresses, so that a look-up meets
/// only routes that have something in common with the connection; what cannot be filed so (networks, wildcards) is looked at
/// every time. Of the routes that accept the connection the highest rank wins.
///
/// Copies share their parts; changing a copy copies only what it touches. One writer per copy; any number of threads may
/// match at once in a copy nobody changes.
/// Source: Kong 3.9, routing of streams.
class StreamTable {
 public:
  explicit StreamTable(Flavour flavour = Flavour::traditional_compatible) : flavour_(flavour) {}

  /// Adds the route, or puts it in place of the one with its id. One that is for HTTP is only taken out.
  void set(std::shared_ptr<const entity::Route> route);
  void erase(const Uuid& id);

  /// Null: none accepts it. Takes no lock and no memory. The route may be kept beyond the table: connections are long.
  [[nodiscard]] std::shared_ptr<const entity::Route> match(const StreamQuery& query) const;

  [[nodiscard]] std::size_t size() const noexcept { return routes_.size(); }

  class Compiled;

 private:
  using Bin = std::vector<const Compiled*>;  // highest rank first
  struct Identity {
    std::size_t operator()(std::uint64_t key) const noexcept { return key; }
  };

  void file(std::uint64_t key, const Compiled& route);
  void unfile(std::uint64_t key, const Compiled& route);

  Flavour flavour_;
  SharedMap<std::uint64_t, std::shared_ptr<const Bin>, Identity> bins_;
  SharedMap<Uuid, std::shared_ptr<const Compiled>> routes_;  // keeps alive what the bins point to
};

}  // namespace gateway::router
