#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "http/message.h"
#include "net/block_pool.h"
#include "plugin/chain.h"
#include "plugin/exchange.h"
#include "proxy/place.h"
#include "proxy/request_body.h"
#include "router/table.h"
#include "snapshot/snapshot.h"

namespace gateway::proxy {

class Client;
class Worker;

/// All that belongs to one request, from its first byte to its log line. Lives on one worker; its memory is
/// used again by the next request.
struct Request {
  Request(Client& client, const plugin::Connection& facts) : client(client), connection_facts(facts), exchange(head, arena, connection_facts), body(arena) {}

  // The arena's first piece lies in the request itself: an ordinary request takes no other memory.
  std::array<char, 6144> memory;
  http::Arena arena{memory.data(), memory.size()};

  Client& client;
  plugin::Connection connection_facts;  ///< the client's address may differ from request to request
  http::RequestHead head{arena};
  plugin::Exchange exchange;
  RequestBody body;
  net::Block head_block;      ///< the bytes that head's views point into
  net::Block response_block;  ///< and those of the upstream's head
  snapshot::SnapshotPtr config;
  std::optional<router::Match> match;
  const snapshot::Upstream* upstream = nullptr;
  Place place;                           ///< once it is being forwarded
  std::string_view cookie;               ///< that the client gets, since its balancer hashes by one that it did not send
  const plugin::Chain* chain = nullptr;  ///< of the route and its service; null before routing

  /// The plugins that run, as access found them, in order; fixed from then on.
  struct Chosen {
    const plugin::Plugin* plugin;
    plugin::Phase phases;
  };
  std::pmr::vector<Chosen> chosen{&arena};

  char id[32];
  boost::system::error_code body_refused;  ///< the body's declaration alone is reason to refuse
  Steady::time_point started;
  std::uint64_t head_bytes = 0;

  // What became of it.
  unsigned status = 0;  ///< sent to the client; 0: nothing was sent
  bool response_started = false;
  bool close_after = false;  ///< the client connection cannot carry another request
  bool client_gone = false;
  std::uint64_t sent_bytes = 0;  ///< head and body
  std::uint64_t sent_head_bytes = 0;
  std::optional<http::Headers> sent_headers;
  std::optional<Steady::time_point> forwarded;  ///< when the request went to a peer
  std::optional<Steady::time_point> answered;   ///< when the peer's head had come
  std::optional<Steady::time_point> received;   ///< when the peer's last byte had come
  std::string_view upstream_uri;
  unsigned upstream_status = 0;
  std::pmr::vector<plugin::Try> tries{&arena};
  plugin::Record::Source source = plugin::Record::Source::kong;
};

/// Requests live in memory that goes round: freed back to the worker they came from.
struct RequestDeleter {
  Worker* worker;
  void operator()(Request* request) const noexcept;
};
using RequestPtr = std::unique_ptr<Request, RequestDeleter>;

}  // namespace gateway::proxy
