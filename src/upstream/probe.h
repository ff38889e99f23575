#pragma once

#include <array>
#include <memory>
#include <string>
#include <unordered_set>

#include "base/task.h"
#include "entity/upstream.h"
#include "net/address.h"
#include "net/loop.h"
#include "net/stream.h"
#include "tls/client_context.h"

namespace gateway::upstream {

/// What a probe found.
struct Finding {
  enum class Kind { connected, answered, tcp_failure, timeout, aborted };
  Kind kind = Kind::connected;
  unsigned status = 0;  ///< of `answered`; 0 when what came was no answer
};

/// Sends the probes of active checks. Its thread is the loop's.
class Prober {
 public:
  explicit Prober(net::Loop& loop) : loop_(loop) {}

  /// One probe. `host`: what Host says, and, without its port, what TLS asks for. Reads the status line and no more.
  /// Source: lua-resty-healthcheck 3.1.0, run_single_check.
  Task<Finding> probe(net::SocketAddress peer, std::shared_ptr<const entity::Upstream> upstream, std::string host);

  /// Ends all probes under way, as `aborted`, soon.
  void abort() noexcept;
  [[nodiscard]] bool idle() const noexcept { return streams_.empty(); }

 private:
  /// Null: it cannot be made.
  const tls::ClientContext* context(bool verify);
  Task<Finding> converse(net::Stream& stream, const net::SocketAddress& peer, const entity::ActiveChecks& checks, const std::string& host);

  net::Loop& loop_;
  std::array<std::shared_ptr<const tls::ClientContext>, 2> contexts_;  // without and with verification; made when needed
  std::unordered_set<net::Stream*> streams_;
  bool aborted_ = false;
};

}  // namespace gateway::upstream
