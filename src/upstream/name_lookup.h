#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "net/address.h"
#include "net/resolver.h"

namespace gateway::upstream {

/// Where a target's name leads.
struct Addresses {
  struct Record {
    net::SocketAddress address;
    unsigned weight = 0;  ///< of an SRV record
  };
  std::vector<Record> records;
  std::chrono::milliseconds ttl{0};
  bool srv = false;
};

/// All addresses of a name. Errors: the resolver's.
Task<Result<Addresses>> look_up(net::Resolver& resolver, std::string host, std::uint16_t port);

}  // namespace gateway::upstream
