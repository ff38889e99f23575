#include "upstream/name_lookup.h"

namespace gateway::upstream {
namespace {

// The resolver keeps TTLs to itself, and answers from its cache until they have passed: asking often costs little.
constexpr std::chrono::milliseconds ask_again_after{5000};

}  // namespace

Task<Result<Addresses>> look_up(net::Resolver& resolver, std::string host, std::uint16_t port) {
  const Result<net::SocketAddress> found = co_await resolver.resolve(host, port);
  if (!found) co_return found.error();
  Addresses out;
  out.records.push_back({*found, 0});
  out.ttl = ask_again_after;
  co_return out;
}

}  // namespace gateway::upstream
