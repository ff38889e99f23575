#include "proxy/connection.h"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include "base/log.h"
#include "base/uuid.h"
#include "proxy/answer.h"
#include "proxy/client_address.h"
#include "proxy/error_page.h"
#include "proxy/finish.h"
#include "proxy/reply.h"
#include "proxy/upstream_head.h"
#include "proxy/worker.h"

namespace gateway::proxy {
namespace {

// Small, since every idle connection holds one; a larger head or body takes a larger block for its time.
constexpr std::size_t input_bytes = 4096;
// A client that was not told that its connection ends may have sent the next request already.
constexpr std::chrono::milliseconds drain_grace{1000};
// After a refusal the client may still be sending: its bytes are read and dropped, so that the answer is
// not lost to a reset (RFC 9112, 9.6).
constexpr std::chrono::milliseconds linger_time{10000};
constexpr std::chrono::milliseconds linger_silence{2000};

}  // namespace

void RequestDeleter::operator()(Request* request) const noexcept { worker->free_request(request); }

Request::Request(Connection& owner, const plugin::Connection& facts)
    : connection(owner), connection_facts(facts), exchange(head, arena, connection_facts), body(owner.stream(), arena) {}

Connection::Connection(Worker& worker, int descriptor, const net::SocketAddress& peer, const net::SocketAddress& local)
    : worker_(worker),
      stream_(worker.loop(), input_bytes),
      peer_ip_(peer.ip()),
      server_ip_(local.ip()),
      half_closed_(
          worker.loop().deadlines(), [](void* owner) { static_cast<Connection*>(owner)->give_up_upstream(); }, this) {
  boost::system::error_code ignored;
  stream_.socket().assign(boost::asio::generic::stream_protocol(local.family(), local.family() == AF_UNIX ? 0 : IPPROTO_TCP), descriptor, ignored);
  const Options& options = worker.options();
  facts_.peer_ip = facts_.client_ip = peer_ip_;
  facts_.client_port = peer.port();
  facts_.server_ip = server_ip_;
  facts_.server_port = local.port();
  if (const auto mapped = options.port_maps.find(local.port()); mapped != options.port_maps.end()) facts_.server_port = mapped->second;
  facts_.serial = worker.next_serial();
  facts_.trusted = is_trusted(peer_ip_, options);
  stream_.observe(this);
  stream_.write_timeout(options.send_timeout);
}

void Connection::watch_for(net::Stream* upstream) noexcept {
  upstream_ = upstream;
  if (upstream != nullptr) awaits_upstream();
}

void Connection::stream_ended() {
  if (between_requests_ || tunnel_) return;
  if (!stream_.ended()) {
    give_up_upstream();  // a reset: nobody can be waiting
  } else if (upstream_ != nullptr) {
    awaits_upstream();
  }
}

void Connection::give_up_upstream() noexcept {
  client_gone_ = true;
  if (upstream_ != nullptr) upstream_->cancel();
}

void Connection::drain() noexcept {
  draining_ = true;
  if (between_requests_) stream_.expires_after(std::min(drain_grace, time_between_requests()));
}

void Connection::abort() noexcept {
  draining_ = aborted_ = true;
  stream_.cancel();
  give_up_upstream();
}

Task<void> Connection::serve() {
  for (;;) {
    RequestPtr request = co_await next_request();
    if (!request) break;
    if (request->status == 0) co_await answer(*request);
    finish(*request);
    half_closed_.clear();
    const bool again = !request->close_after && !aborted_ && !client_gone_ && request->body.complete();
    const bool unread = !request->body.complete();
    request.reset();
    if (!again) {
      if (unread || !stream_.data().empty()) co_await linger();
      break;
    }
  }
  co_await stream_.finish();
  worker_.remove(*this);
}

std::chrono::milliseconds Connection::time_between_requests() const noexcept {
  const Options& options = worker_.options();
  return facts_.requests == 0 ? options.head_timeout : options.idle_timeout;
}

Task<bool> Connection::wait_for_first_byte() {
  between_requests_ = true;
  worker_.count_waiting(1);
  stream_.expires_after(draining_ ? std::min(drain_grace, time_between_requests()) : time_between_requests());
  stream_.release_block();
  while (stream_.data().empty()) {
    const Result<bool> more = co_await stream_.more();
    if (!more || !*more) break;
  }
  between_requests_ = false;
  worker_.count_waiting(-1);
  co_return !stream_.data().empty() && !stream_.timed_out();
}

Task<RequestPtr> Connection::next_request() {
  const Options& options = worker_.options();
  const bool arrived = co_await wait_for_first_byte();
  if (!arrived) co_return RequestPtr(nullptr, {&worker_});
  ++facts_.requests;
  RequestPtr request = worker_.new_request(*this, facts_);
  stream_.expires_after(options.head_timeout);
  http::h1::RequestParser parser(options.head);
  for (;;) {
    const http::h1::HeadState state = parser.parse(stream_.data(), request->head);
    if (state == http::h1::HeadState::complete) break;
    if (state == http::h1::HeadState::failed) {
      co_await refuse(*request, parser.status(), parser.reason());
      co_return request;
    }
    if (!stream_.reading() && stream_.data().size() >= input_bytes) stream_.reserve(options.head.max_head_bytes + 1024);
    const Result<bool> more = co_await stream_.more();
    if (more && *more && !stream_.timed_out()) continue;
    // Nobody to answer: the client has left, or has not got a request out in all its time.
    co_return RequestPtr(nullptr, {&worker_});
  }
  stream_.never_expires();
  take_head(*request, parser.consumed());
  co_return request;
}

// Keeps the bytes the head (and a whole body) lie in, and starts reading ahead behind them.
void Connection::take_head(Request& request, std::size_t head_bytes) {
  const Options& options = worker_.options();
  request.head_bytes = head_bytes;
  request.close_after = !request.head.keep_alive || facts_.requests >= options.requests_per_connection;
  mark_hop_by_hop(request.head.headers);
  resolve_client_address(request.connection_facts, request.head.headers, options);
  const Result<bool> whole = request.body.begin(request.head.framing, stream_.bytes() + head_bytes, stream_.data().size() - head_bytes,
                                                {options.max_body_bytes, options.body_timeout});
  if (!whole) {
    request.body_refused = whole.error().code;
    request.head_block = stream_.take_block(head_bytes);
    return;
  }
  request.head_block = stream_.take_block(head_bytes + (*whole ? request.body.taken() : 0));
  if (*whole) {
    stream_.read_ahead();
  } else {
    request.body.on_first_read(request.head.expects_continue);
  }
}

Task<void> Connection::refuse(Request& request, unsigned status, std::string_view why) {
  log::info("refused a request from {}: {}", peer_ip_, why);
  request.close_after = true;
  request.config = worker_.snapshot().pin();
  request.exchange.request_id = {request.id, sizeof request.id};
  http::Reply reply = render_error(status, standard_message(status), request.exchange.request_id, request.head, Raised::by_http, worker_.options());
  choose_global_plugins(request);
  co_await send_reply(request, reply);
  request.body.abandon();
}

Task<void> Connection::linger() {
  stream_.shutdown_send();
  const Steady::time_point end = Steady::now() + linger_time;
  for (;;) {
    stream_.consume(stream_.data().size());
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Steady::now());
    if (left.count() <= 0) break;
    stream_.expires_after(std::min(linger_silence, left));
    const Result<bool> more = co_await stream_.more();
    if (!more || !*more) break;
  }
}

}  // namespace gateway::proxy
