#include "proxy/h1_client.h"

#include <algorithm>

#include "base/log.h"
#include "net/linger.h"
#include "proxy/answer.h"
#include "proxy/client_address.h"
#include "proxy/error_page.h"
#include "proxy/finish.h"
#include "proxy/head_writer.h"
#include "proxy/reply.h"
#include "proxy/upstream_head.h"
#include "proxy/worker.h"

namespace gateway::proxy {
namespace {

using http::Name;

// A client that was not told that its connection ends may have sent the next request already.
constexpr std::chrono::milliseconds drain_grace{1000};
// Up to here a body is copied behind its head: a second piece costs more.
constexpr std::size_t small_payload = 1024;

}  // namespace

H1Client::H1Client(Connection& connection)
    : Client(connection.worker()),
      connection_(connection),
      stream_(connection.stream()),
      body_(stream_, {worker().options().max_body_bytes, worker().options().body_timeout}),
      half_closed_(
          worker().loop().deadlines(), [](void* self) { static_cast<H1Client*>(self)->left(); }, this) {
  stream_.observe(this);
  stream_.allow_multishot();
}

void H1Client::awaits_upstream() noexcept {
  if (stream_.ended() && !tunnel_) half_closed_.set(half_close_grace);
}

void H1Client::stream_ended() {
  if (between_requests_ || tunnel_) return;
  if (!stream_.ended()) {
    left();  // a reset: nobody can be waiting
  } else if (upstream() != nullptr) {
    awaits_upstream();
  }
}

void H1Client::drain() noexcept {
  draining_ = true;
  if (between_requests_) stream_.expires_after(std::min(drain_grace, time_between_requests()));
}

void H1Client::abort() noexcept {
  draining_ = aborted_ = true;
  stream_.cancel();
  left();
}

Task<void> H1Client::serve() {
  for (;;) {
    RequestPtr request = co_await next_request();
    if (!request) break;
    if (request->status == 0) co_await answer(*request);
    proxy::finish(*request);
    half_closed_.clear();
    const bool again = !request->close_after && !aborted_ && !gone() && request->body.complete();
    const bool unread = !request->body.complete();
    request.reset();
    if (!again) {
      // After a refusal the client may still be sending.
      if (unread || !stream_.data().empty()) co_await net::linger(stream_);
      break;
    }
  }
}

std::chrono::milliseconds H1Client::time_between_requests() const noexcept {
  const Options& options = worker().options();
  return connection_.facts().requests == 0 ? options.head_timeout : options.idle_timeout;
}

void H1Client::wait_begins() noexcept {
  between_requests_ = true;
  worker().count_waiting(1);
  stream_.expires_after(draining_ ? std::min(drain_grace, time_between_requests()) : time_between_requests());
  stream_.release_block();
}

void H1Client::wait_ends() noexcept {
  between_requests_ = false;
  worker().count_waiting(-1);
}

Task<RequestPtr> H1Client::next_request() {
  const Options& options = worker().options();
  wait_begins();
  while (stream_.data().empty()) {
    const Result<bool> more = co_await stream_.more();
    if (!more || !*more) break;
  }
  wait_ends();
  if (stream_.data().empty() || stream_.timed_out()) co_return RequestPtr(nullptr, {&worker()});
  ++connection_.facts().requests;
  RequestPtr request = worker().new_request(*this, connection_.facts());
  stream_.expires_after(options.head_timeout);
  http::h1::RequestParser parser(options.head);
  for (;;) {
    const http::h1::HeadState state = parser.parse(stream_.data(), request->head);
    if (state == http::h1::HeadState::complete) break;
    if (state == http::h1::HeadState::failed) {
      // Where HTTP/2 is spoken in clear text as well, what is neither has no language to be answered in.
      if (connection_.may_be_http2() && connection_.facts().requests == 1 && parser.status() == 400 && !parser.is_http()) {
        co_return RequestPtr(nullptr, {&worker()});
      }
      co_await refuse(*request, parser.status(), parser.reason());
      co_return request;
    }
    if (!stream_.reading() && stream_.data().size() >= Connection::input_bytes) stream_.reserve(options.head.max_head_bytes + 1024);
    const Result<bool> more = co_await stream_.more();
    if (more && *more && !stream_.timed_out()) continue;
    // Nobody to answer: the client has left, or has not got a request out in all its time.
    co_return RequestPtr(nullptr, {&worker()});
  }
  stream_.never_expires();
  take_head(*request, parser.consumed());
  co_return request;
}

// Keeps the bytes the head (and a whole body) lie in, and starts reading ahead behind them.
void H1Client::take_head(Request& request, std::size_t head_bytes) {
  const Options& options = worker().options();
  request.head_bytes = head_bytes;
  request.close_after = !request.head.keep_alive || connection_.facts().requests >= options.requests_per_connection;
  mark_hop_by_hop(request.head.headers);
  resolve_client_address(request.connection_facts, request.head.headers, options);
  const Result<std::optional<std::size_t>> whole =
      body_.begin(request.body, request.head.framing, stream_.bytes() + head_bytes, stream_.data().size() - head_bytes);
  if (!whole) request.body_refused = whole.error().code;
  request.head_block = stream_.take_block(head_bytes + (whole && *whole ? **whole : 0));
  if (!whole) return;
  if (*whole) {
    stream_.read_ahead();
  } else if (request.head.expects_continue) {
    body_.send_continue();
  }
}

Task<void> H1Client::refuse(Request& request, unsigned status, std::string_view why) {
  request.close_after = true;
  co_await refuse_unread(request, status, why);
  request.body.abandon();
}

// Answers

void H1Client::frame(Answer& answer) {
  http::Headers& headers = *answer.headers;
  Request& request = answer.request;
  if (answer.has_body && !answer.upgrades && !answer.of_known_length) {
    answer.chunked = request.head.version != http::Version::http_1_0;
    // An HTTP/1.0 client learns the end of a body of unknown length from the end of the connection.
    if (!answer.chunked) request.close_after = true;
    if (answer.chunked) headers.add(safe(Name::transfer_encoding, "chunked"));
  }
  if (answer.upgrades) {
    headers.add(Name::connection, "upgrade");
  } else if (headers.find(Name::connection) == nullptr) {
    headers.add(safe(Name::connection, request.close_after ? "close" : "keep-alive"));
  }
}

bool H1Client::begin(Sending& piece) {
  Answer& answer = piece.answer;
  const std::string_view payload = answer.has_body || answer.upgrades ? piece.payload : std::string_view{};
  const bool joined = !answer.head_sent && !answer.chunked && payload.size() <= small_payload;
  std::string_view head;
  if (!answer.head_sent) {
    const std::string_view body = joined ? payload : std::string_view{};
    head = write_response_head(answer.request.arena, answer.status, answer.reason, *answer.headers, body);
    answer.head_sent = !answer.interim;
    if (!answer.interim) answer.request.sent_head_bytes = head.size() - body.size();
    stream_.never_expires();  // a body that is read no further may have left a deadline behind
  }
  net::Stream::Write::Pieces pieces{head};
  if (answer.chunked) {
    const bool empty = payload.empty();
    const std::string_view size = empty ? std::string_view{} : write_chunk_size(answer.chunk_size, payload.size());
    const std::string_view after = empty ? "" : "\r\n";
    pieces = {head, size, payload, after};
    if (piece.last) {
      answer.chunk_end.assign(after).append("0\r\n");
      if (answer.trailers_wanted && answer.trailers != nullptr) {
        for (const http::Header& trailer : *answer.trailers) answer.chunk_end.append(trailer.name).append(": ").append(trailer.value).append("\r\n");
      }
      answer.chunk_end += "\r\n";
      pieces[3] = answer.chunk_end;
    }
  } else if (!joined) {
    pieces = {head, payload};
  }
  half_closed_.clear();  // the writing itself tells when the client is gone
  for (const std::string_view each : pieces) piece.bytes += each.size();
  piece.write.emplace(stream_, pieces);
  return piece.write->await_ready();
}

Status H1Client::end(Sending& piece) {
  Status sent = piece.write->await_resume();
  Request& request = piece.answer.request;
  if (sent) {
    request.sent_bytes += piece.bytes;
  } else {
    request.client_gone = request.close_after = true;
  }
  if (upstream() != nullptr) awaits_upstream();
  return sent;
}

// Tunnels

void H1Client::becomes_a_tunnel() noexcept {
  tunnel_ = true;
  half_closed_.clear();
}

Task<Result<std::string_view>> H1Client::receive() {
  stream_.consume(std::exchange(received_, 0));
  while (stream_.data().empty() && !stream_.ended()) {
    const Result<bool> more = co_await stream_.more();
    if (!more) co_return more.error();
  }
  received_ = stream_.data().size();
  co_return stream_.data();
}

}  // namespace gateway::proxy
