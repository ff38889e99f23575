#include "proxy/forward.h"

#include <boost/asio/error.hpp>

#include "base/log.h"
#include "proxy/client.h"
#include "proxy/error_page.h"
#include "proxy/h1_upstream.h"
#include "proxy/h2_upstream.h"
#include "proxy/head_writer.h"
#include "proxy/peer_choice.h"
#include "proxy/relay.h"
#include "proxy/reply.h"
#include "proxy/upload.h"
#include "proxy/upstream_head.h"
#include "proxy/worker.h"

namespace gateway::proxy {
namespace {

using upstream::ConnectionPtr;
using upstream::Pool;

// One try at one peer, and what the next step may be.
enum class Attempt {
  done,       // the client has its answer, or is gone
  try_again,  // nothing came back and asking again does no harm
  stale,      // the same, on a kept-alive connection the peer had just closed: not counted
  failed,     // no answer can be had
};

// POST, LOCK and PATCH may have taken effect: not to be repeated once any of the request was sent.
bool may_repeat(const Request& request) {
  const std::string_view method = request.head.method;
  return method != "POST" && method != "PATCH" && method != "LOCK";
}

bool timed_out(const Error& error) { return error.code == boost::asio::error::timed_out; }

/// An address being found or a connection being made for a client.
class Dial final : public Cancellable {
 public:
  explicit Dial(Client& client) : client_(client) { client_.watch_for(this); }
  ~Dial() { client_.watch_for(nullptr); }
  Dial(const Dial&) = delete;
  Dial& operator=(const Dial&) = delete;

  void cancel() noexcept override { dialling.cancel(); }
  upstream::Dialling dialling;

 private:
  Client& client_;
};

class Forwarding {
 public:
  explicit Forwarding(Request& request) : request_(request), worker_(request.client.worker()), service_(request.upstream->service), peers_(request) {
    peer_.tls = *request_.place.tls;
  }

  /// For a request whose place has been found.
  static Task<void> run(Request& request);

 private:
  Task<bool> gather_body();
  void prepare();
  void write_head();
  [[nodiscard]] std::string server_name() const;
  Task<bool> find_peer();
  Task<bool> resolve();
  Task<bool> pick();
  [[nodiscard]] bool admitted();
  void refuse_for_load();
  Task<Attempt> try_http1(bool fresh);
  Task<Result<upstream::H2Connection*>> connect_http2();
  Task<Attempt> try_http2(bool fresh);
  Attempt outcome_of(const Result<Relay::End>& end, const Upload& upload, bool reused);
  Task<Status> send_chunked(net::Stream& stream);
  Task<void> give_up();
  Attempt after_failure(const Error& error, bool reused);
  void note_try(const net::SocketAddress& peer);

  Request& request_;
  Worker& worker_;
  const entity::Service& service_;
  PeerChoice peers_;
  upstream::Destination peer_;
  std::string_view head_;     // as it goes out; empty: not written yet
  bool sent_ = false;         // some of the request left on the current connection
  unsigned failure_ = 502;    // what the client is told when nothing helps
  std::string failure_text_;  // instead of the standard one
  std::chrono::seconds retry_after_{0};
};

void Forwarding::prepare() {
  const Options& options = worker_.options();
  prepare_request_headers(request_, options);
  const plugin::Exchange& exchange = request_.exchange;
  request_.upstream_uri = exchange.upstream_path;
  if (request_.chain->logs && sends_query(request_)) {
    request_.upstream_uri = join(request_.arena, {exchange.upstream_path, "?", exchange.upstream_query});
  }
  request_.forwarded = Steady::now();
  if (request_.place.literal != nullptr) peer_.address = *request_.place.literal;
}

void Forwarding::write_head() {
  const plugin::Exchange& exchange = request_.exchange;
  head_ =
      write_request_head(request_.arena, request_.head.method, exchange.upstream_path, exchange.upstream_query, sends_query(request_), request_.head.headers);
}

// A body up to a limit waits here until it is whole: then it can be sent again, to another peer. Larger ones stream.
Task<bool> Forwarding::gather_body() {
  const http::Framing& framing = request_.body.framing();
  const std::size_t limit = worker_.options().max_retry_body_bytes;
  if (framing.kind == http::Framing::Kind::length && framing.length > limit) co_return true;
  const Result<bool> whole = co_await request_.body.gather(limit);
  if (whole) co_return true;
  failure_ = status_of(whole.error());
  if (failure_ == 0) request_.client.left();
  co_return false;
}

Task<void> Forwarding::run(Request& request) {
  Forwarding forwarding(request);
  // Over HTTP/2 both sides may speak at a time, as gRPC does: what comes goes on at once.
  if (!request.body.buffered() && request.exchange.route->request_buffering && !forwarding.service_.http2) {
    const bool going_on = co_await forwarding.gather_body();
    if (!going_on) co_return co_await forwarding.give_up();
  }
  forwarding.prepare();
  unsigned left = forwarding.service_.retries + 1;
  bool fresh = false;  // not on a kept connection
  bool again = false;  // at the same peer
  while (left > 0) {
    if (!again && request.place.literal == nullptr && !co_await forwarding.find_peer()) break;
    again = false;
    if (forwarding.peer_.tls) forwarding.peer_.server_name = forwarding.server_name();
    forwarding.note_try(forwarding.peer_.address);
    forwarding.sent_ = false;
    const Attempt outcome = forwarding.service_.http2 ? co_await forwarding.try_http2(fresh) : co_await forwarding.try_http1(fresh);
    if (outcome == Attempt::done) co_return;
    if (outcome == Attempt::failed || forwarding.peers_.overloaded() || request.client.gone()) break;
    // A stale connection says nothing about the peer: one more attempt, on one that cannot be stale.
    if (outcome == Attempt::stale) {
      fresh = again = true;
      continue;
    }
    --left;
  }
  co_await forwarding.give_up();
}

// What Host says, without its port (nginx, proxy_ssl_name $upstream_host).
std::string Forwarding::server_name() const {
  const std::string_view host = request_.head.headers.value(http::Name::host);
  if (host.starts_with('[')) return std::string(host.substr(1, host.find(']') - 1));
  std::string_view name = host.substr(0, host.find(':'));
  // RFC 6066, section 3: without the dot of the root.
  if (name.ends_with('.')) name.remove_suffix(1);
  return std::string(name);
}

// Where the service has no address of its own: a target of its upstream, or an address of its name.
Task<bool> Forwarding::find_peer() {
  if (peers_.balances()) co_return co_await pick();
  co_return co_await resolve();
}

// One of the upstream's targets.
Task<bool> Forwarding::pick() {
  const bool first = request_.tries.empty();
  Dial dial(request_.client);  // where it waits for names, it looks whether the client is still there
  const bool picked = co_await peers_.next();
  if (picked) {
    peer_.address = peers_.address();
    // What is told of the host is the target's, unless the client's own is wanted; with another peer it may change.
    const bool preserved = request_.exchange.route->preserve_host && !request_.head.authority.empty();
    if (!preserved && request_.head.headers.value(http::Name::host) != peers_.host()) {
      request_.head.headers.set(http::Name::host, peers_.host());
      head_ = {};
    }
    co_return true;
  }
  if (!first) {
    // A limit on retries is no reason of its own: what the client is told is what went wrong before.
    if (!peers_.overloaded()) failure_ = 503;
    co_return false;
  }
  // Refused before any peer was tried: this is an answer of our own.
  request_.forwarded.reset();
  if (peers_.overloaded()) {
    refuse_for_load();
  } else {
    failure_ = 503;
    failure_text_ = "failure to get a peer from the ring-balancer";
  }
  co_return false;
}

// Finds an address of the service's name.
Task<bool> Forwarding::resolve() {
  Dial dial(request_.client);
  const Result<net::SocketAddress> found = co_await worker_.resolve(*request_.place.host, request_.place.port, &dial.dialling);
  if (request_.client.gone()) co_return false;
  if (!found) {
    log::error("{}", found.error().to_string());
    // Refused before any peer was tried: this is an answer of our own.
    if (request_.tries.empty()) request_.forwarded.reset();
    failure_ = net::Resolver::is_name_error(found.error()) ? 503 : 500;
    failure_text_ = failure_ == 503 ? "name resolution failed"
                                    : "failed the initial dns/balancer resolve for '" + *request_.place.host + "' with: " + found.error().code.message();
  }
  if (found) peer_.address = *found;
  co_return found.has_value();
}

void Forwarding::note_try(const net::SocketAddress& peer) {
  plugin::Try& one = request_.tries.emplace_back();
  one.peer = peer;
  one.balancer_latency = peers_.took();
  // The first try at a known address sets out when the request does: no need to ask the clock again.
  const bool at_once = request_.tries.size() == 1 && request_.place.literal != nullptr;
  one.started = at_once ? request_.exchange.started + std::chrono::duration_cast<System::duration>(*request_.forwarded - request_.started) : System::now();
}

// What to do about a failure before any of the answer reached the client.
Attempt Forwarding::after_failure(const Error& error, bool reused) {
  failure_ = timed_out(error) ? 504 : 502;
  request_.tries.back().failed_with = failure_;
  if (request_.client.gone()) return Attempt::failed;
  // That a kept connection was closed meanwhile says nothing about the peer.
  const bool answered_badly = error.code == boost::system::errc::protocol_error;
  const bool stale = reused && !timed_out(error) && !answered_badly;
  if (!stale && peers_.balances()) peers_.failed(error);
  log::error("{} while talking to {} for {}", error.to_string(), *request_.place.host, request_.exchange.request_id);
  if (request_.body.started()) return Attempt::failed;
  // It answered, if badly: asking the next one is for peers that did not.
  if (answered_badly) return Attempt::failed;
  const bool untouched = error.code == boost::asio::error::try_again;  // an HTTP/2 peer says that it has not looked at it
  if (sent_ && !untouched && !may_repeat(request_)) return Attempt::failed;
  return stale ? Attempt::stale : Attempt::try_again;
}

// A body in memory that goes out in chunks all the same, for the sake of its trailers.
Task<Status> Forwarding::send_chunked(net::Stream& stream) {
  Output out(head_, &request_.arena);
  char size[20];
  const std::string_view piece = request_.body.piece();
  if (!piece.empty()) out.append(write_chunk_size(size, piece.size())).append(piece).append("\r\n");
  out += "0\r\n";
  for (const http::Header& trailer : request_.body.trailers()) out.append(trailer.name).append(": ").append(trailer.value).append("\r\n");
  out += "\r\n";
  const std::string_view bytes = out;
  const Status sent = co_await stream.write(bytes);
  co_return sent;
}

Task<Attempt> Forwarding::try_http1(bool fresh) {
  if (head_.empty()) write_head();
  Result<ConnectionPtr> connection = fresh ? ConnectionPtr() : worker_.pool().take(peer_);
  if (!*connection) {
    if (!admitted()) co_return Attempt::failed;
    Dial dial(request_.client);
    connection = co_await worker_.pool().connect(peer_, service_.connect_timeout, upstream::Speaks::http1, &dial.dialling);
    if (peers_.balances()) peers_.connected();
    if (!connection) co_return after_failure(connection.error(), false);
  }
  if (request_.client.gone()) {
    Pool::discard(std::move(*connection));
    co_return Attempt::failed;
  }
  net::Stream& stream = (*connection)->stream();
  H1Upstream side(request_, stream);
  request_.client.watch_for(&side);
  const bool reused = (*connection)->reused();
  stream.write_timeout(service_.write_timeout);
  sent_ = true;
  Status sent;
  if (request_.body.buffered() && !request_.body.trailers().empty()) {
    sent = co_await send_chunked(stream);
  } else {
    // Nearly always: the head, and the body that came with it, in one write.
    const std::string_view body = request_.body.buffered() ? request_.body.piece() : std::string_view{};
    sent = co_await stream.write(head_, body);
  }
  Attempt outcome = Attempt::failed;
  bool keep = false;
  // A peer may answer before it has read everything and close: its answer counts.
  if (!sent && sent.error().code == boost::asio::error::timed_out) {
    outcome = after_failure(sent.error(), reused);
  } else {
    Upload upload(request_, side, service_.read_timeout);
    if (!request_.body.buffered()) upload.start();
    Relay relay(request_, side, service_.read_timeout);
    const Result<Relay::End> end = co_await relay.run(upload);
    co_await upload.stop();
    outcome = outcome_of(end, upload, reused);
    keep = end && *end == Relay::End::keep && upload.complete();
  }
  request_.client.watch_for(nullptr);
  if (keep) {
    worker_.pool().give_back(std::move(*connection));
  } else {
    Pool::discard(std::move(*connection));
  }
  co_return outcome;
}

// Null: what is wanted is a WebSocket, and the peer takes none over HTTP/2 (RFC 8441).
Task<Result<upstream::H2Connection*>> Forwarding::connect_http2() {
  Dial dial(request_.client);
  const Result<upstream::H2Connection*> connection = co_await worker_.h2_pool().connect(peer_, service_.connect_timeout, &dial.dialling);
  if (!request_.head.upgrade_websocket) co_return connection;
  if (!connection) {
    if (connection.error().code != boost::asio::error::no_protocol_option) co_return connection;
    co_return static_cast<upstream::H2Connection*>(nullptr);
  }
  const Status greeted = co_await upstream::Greeting(**connection, service_.connect_timeout, dial.dialling);
  if (!greeted) co_return greeted.error();
  // A body before the first frame has no place in an extended CONNECT.
  const bool takes = (*connection)->takes_extended_connect() && !request_.body.exists();
  co_return takes ? *connection : nullptr;
}

Task<Attempt> Forwarding::try_http2(bool fresh) {
  if (!admitted()) co_return Attempt::failed;
  const Result<upstream::H2Connection*> connection = co_await connect_http2();
  if (peers_.balances()) peers_.connected();
  if (!connection) co_return after_failure(connection.error(), false);
  if (request_.client.gone()) co_return Attempt::failed;
  if (*connection == nullptr) co_return co_await try_http1(fresh);
  H2Upstream side(request_, **connection, service_.write_timeout);
  request_.client.watch_for(&side);
  sent_ = true;
  const Status sent = co_await side.begin();
  Attempt outcome = Attempt::failed;
  if (!sent && sent.error().code != boost::asio::error::connection_reset) {
    outcome = after_failure(sent.error(), false);
  } else {
    Upload upload(request_, side, service_.read_timeout);
    if (!request_.body.buffered()) upload.start();
    Relay relay(request_, side, service_.read_timeout);
    const Result<Relay::End> end = co_await relay.run(upload);
    co_await upload.stop();
    outcome = outcome_of(end, upload, false);
  }
  request_.client.watch_for(nullptr);
  co_return outcome;
}

// A connection is about to be made: the circuit breaker has a word in it.
bool Forwarding::admitted() {
  if (!peers_.balances() || peers_.connecting()) return true;
  refuse_for_load();
  return false;
}

void Forwarding::refuse_for_load() {
  failure_ = 503;
  failure_text_ = "the circuit breaker of the upstream is open";
  retry_after_ = peers_.retry_after();
}

// Of a try whose request was on its way.
Attempt Forwarding::outcome_of(const Result<Relay::End>& end, const Upload& upload, bool reused) {
  // Where the answer broke off before any of it went on, what follows tells of the failure.
  if (peers_.balances() && (end || request_.response_started)) peers_.answered(request_.upstream_status);
  if (end) return Attempt::done;
  if (request_.response_started) {
    // Half an answer cannot be taken back: closing tells the client that it is not whole.
    log::error("{} after the answer had begun, for {}", end.error().to_string(), request_.exchange.request_id);
    request_.close_after = true;
    return Attempt::done;
  }
  if (upload.failure() != 0) {
    failure_ = upload.failure();
    return Attempt::failed;
  }
  return after_failure(end.error(), reused);
}

Task<void> Forwarding::give_up() {
  if (request_.client.gone()) {
    request_.client_gone = request_.close_after = true;
    request_.status = 499;
    co_return;
  }
  if (!request_.body.complete()) request_.body.abandon();
  const std::string_view text = failure_text_.empty() ? standard_message(failure_) : std::string_view(failure_text_);
  const Raised raised = failure_text_.empty() ? Raised::by_http : Raised::by_gateway;
  http::Reply reply = render_error(failure_, text, request_.exchange.request_id, request_.head, raised, worker_.options());
  if (retry_after_.count() > 0) reply.headers.emplace_back("Retry-After", std::to_string(retry_after_.count()));
  co_await send_reply(request_, reply);
}

}  // namespace

Task<void> forward(Request& request) {
  find_place(request);
  return Forwarding::run(request);
}

}  // namespace gateway::proxy
