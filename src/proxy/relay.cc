#include "proxy/relay.h"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <utility>

#include "proxy/reply.h"
#include "proxy/upstream_head.h"
#include "proxy/worker.h"

namespace gateway::proxy {
namespace {

using http::Name;

constexpr std::size_t max_buffered_response_bytes = 64 << 20;

Error malformed(const char* doing) { return Error{boost::system::errc::make_error_code(boost::system::errc::protocol_error), Origin::upstream, doing}; }

}  // namespace

Task<Result<Relay::End>> Relay::run(Upload& upload) {
  for (;;) {
    const Result<UpstreamSide::Head> here = upstream_.take_head(head_);
    if (!here) co_return here.error();
    if (*here == UpstreamSide::Head::final) break;
    if (*here == UpstreamSide::Head::interim) {
      const Status passed = co_await pass_interim();
      if (!passed) co_return passed.error();
      continue;
    }
    if (!upload.running()) upstream_.expires_after(timeout_);
    const Result<bool> more = co_await upstream_.more();
    upstream_.never_expires();
    if (!more) co_return more.error();
  }
  request_.answered = Steady::now();
  request_.upstream_status = head_.status;
  request_.source = plugin::Record::Source::upstream;
  mark_hop_by_hop(head_.headers);
  if (head_.status == 101) {
    if (!request_.head.upgrade_websocket || !upstream_.becomes_a_tunnel()) co_return malformed("switching protocols unasked");
    co_return co_await tunnel();
  }
  if (request_.chain->buffers_response && any_chosen(plugin::Phase::response)) co_return co_await send_buffered();

  if (!request_.body.complete() && request_.body.buffered()) request_.close_after = true;
  prepare_head();
  Result<Piece> piece = upstream_.poll();
  if (!piece) co_return piece.error();
  // Most answers are whole with their first bytes: no need to ask the clock again.
  if (piece->last) request_.received = request_.answered;
  request_.status = head_.status;
  request_.response_started = true;
  for (;;) {
    const std::string_view payload = filters_body_ && answer_.has_body ? filtered(*piece) : piece->payload;
    const bool last = piece->last;
    const Status sent = co_await client_.send(answer_, payload, last);
    if (!sent) co_return End::close;
    if (last) break;
    piece = co_await next_piece();
    if (!piece) co_return piece.error();
    if (piece->last) request_.received = Steady::now();
  }
  upstream_.release_piece();
  co_return end();
}

// Waits for a piece that has something in it, or is the last.
Task<Result<Relay::Piece>> Relay::next_piece() {
  for (;;) {
    const Result<Piece> piece = upstream_.poll();
    if (!piece) co_return piece.error();
    if (piece->last || !piece->payload.empty()) co_return *piece;
    upstream_.expires_after(timeout_);
    const Result<bool> more = co_await upstream_.more();
    upstream_.never_expires();  // what the client needs for its part is not the upstream's fault
    if (!more) co_return more.error();
  }
}

Task<Status> Relay::pass_interim() {
  if (request_.head.version != http::Version::http_1_0) {
    mark_hop_by_hop(head_.headers);
    remove_hop_by_hop(head_.headers, false);
    Answer interim(request_);
    interim.status = head_.status;
    interim.reason = head_.reason;
    interim.headers = &head_.headers;
    interim.interim = true;
    const Status sent = co_await client_.send(interim, {}, false);
    if (!sent) co_return Error{boost::asio::error::connection_reset, Origin::client, "sending an interim response"};
  }
  upstream_.pass_interim();
  co_return Status{};
}

bool Relay::body_follows() const noexcept { return request_.head.method != "HEAD" && head_.status != 204 && head_.status != 304; }

// The chain may have a plugin for some consumers only.
bool Relay::any_chosen(plugin::Phase phase) const noexcept {
  return std::any_of(request_.chosen.begin(), request_.chosen.end(), [&](const Request::Chosen& each) { return has(each.phases, phase); });
}

void Relay::prepare_head() {
  http::Headers& headers = request_.sent_headers.emplace(request_.arena);
  headers.reserve(head_.headers.size() + 16);  // with those that are added
  headers.set_all(head_.headers);
  answer_.upgrades = head_.status == 101;
  remove_hop_by_hop(headers, answer_.upgrades);
  // What is left of TE says that the client takes trailers.
  answer_.trailers_wanted = request_.head.headers.find(Name::te) != nullptr;
  if (!answer_.trailers_wanted) headers.remove(Name::trailer);
  unsigned status = head_.status;
  filter_headers(request_, status, headers);
  head_.status = status;

  filters_body_ = request_.chain->filters_body && any_chosen(plugin::Phase::body_filter);
  answer_.has_body = body_follows() && !answer_.upgrades;
  if (head_.status == 204) headers.remove(Name::content_length);
  answer_.of_known_length = headers.find(Name::content_length) != nullptr && !filters_body_;
  if (answer_.has_body && !answer_.of_known_length) headers.remove(Name::content_length);
  if (client_.draining()) request_.close_after = true;
  add_own_headers(request_, headers, plugin::Record::Source::upstream);
  answer_.status = head_.status;
  answer_.reason = head_.reason;
  answer_.headers = &headers;
  answer_.trailers = &upstream_.trailers();
  client_.frame(answer_);
}

std::string_view Relay::filtered(Piece piece) {
  filtered_ = piece.payload;
  for (const Request::Chosen& chosen : request_.chosen) {
    if (has(chosen.phases, plugin::Phase::body_filter)) chosen.plugin->body_filter(request_.exchange, filtered_, piece.last);
  }
  return filtered_;
}

// For plugins with a response phase: the whole answer in memory, then sent as one of known length.
Task<Result<Relay::End>> Relay::send_buffered() {
  std::string body;
  for (bool last = false; !last;) {
    const Result<Piece> piece = co_await next_piece();
    if (!piece) co_return piece.error();
    body += piece->payload;
    last = piece->last;
    if (body.size() > max_buffered_response_bytes) co_return malformed("buffering the response body: too large");
  }
  upstream_.release_piece();
  request_.received = Steady::now();
  plugin::BufferedResponse response{head_, body};
  for (const Request::Chosen& chosen : request_.chosen) {
    if (!has(chosen.phases, plugin::Phase::response)) continue;
    plugin::Step step = chosen.plugin->response(request_.exchange, response);
    plugin::Flow flow = step.take();
    if (step.waits()) flow = co_await step.task();
    if (!flow.replies()) continue;
    http::Reply reply = flow.take_reply();
    co_await send_reply(request_, reply);
    co_return end();
  }
  if (body_follows()) head_.headers.set(Name::content_length, number(request_.arena, static_cast<std::int64_t>(body.size())));
  prepare_head();
  request_.status = head_.status;
  request_.response_started = true;
  const std::string_view payload = filters_body_ && answer_.has_body ? filtered({body, true}) : std::string_view(body);
  const Status sent = co_await client_.send(answer_, payload, true);
  co_return sent ? end() : End::close;
}

}  // namespace gateway::proxy
