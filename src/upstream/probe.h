#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>

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
  /// `trust`: authorities, versions and ciphers of probes over TLS, and what is shown where an upstream names nothing.
  Prober(net::Loop& loop, tls::ClientOptions trust) : loop_(loop), trust_(std::move(trust)) {}

  /// One probe. `host`: what Host says, and, without its port, what TLS asks for. `certificate`: shown to
  /// peers that ask for one; null: the node's. Reads the status line and no more.
  /// Source: lua-resty-healthcheck 3.1.0, run_single_check.
  Task<Finding> probe(net::SocketAddress peer, std::shared_ptr<const entity::Upstream> upstream, std::string host, tls::ServerCertificatePtr certificate);

  /// Ends all probes under way, as `aborted`, soon.
  void abort() noexcept;

 private:
  /// Null: it cannot be made.
  std::shared_ptr<const tls::ClientContext> context(bool verify, const tls::ServerCertificatePtr& certificate);
  Task<Finding> converse(net::Stream& stream, const net::SocketAddress& peer, const entity::ActiveChecks& checks, const std::string& host,
                         const tls::ServerCertificatePtr& certificate);

  net::Loop& loop_;
  const tls::ClientOptions trust_;
  // Made when needed: by whether they verify, and what they show.
  std::map<std::pair<bool, tls::ServerCertificatePtr>, std::shared_ptr<const tls::ClientContext>> contexts_;
  std::unordered_set<net::Stream*> streams_;
  bool aborted_ = false;
};

}  // namespace gateway::upstream
