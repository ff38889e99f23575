#include "proxy/relay.h"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <optional>

#include "http/h1/response_parser.h"
#include "proxy/connection.h"
#include "proxy/reply.h"
#include "proxy/upstream_head.h"
#include "proxy/worker.h"

namespace gateway::proxy {
namespace {

using http::Framing;
using http::Name;
using http::h1::BodyDecoder;
using http::h1::HeadState;

constexpr std::size_t max_response_head_bytes = 65536;
constexpr std::size_t stream_block_bytes = 65536;
constexpr std::size_t max_buffered_response_bytes = 64 << 20;
constexpr unsigned max_interim_responses = 32;
// Up to here a body is copied behind its head: a second piece costs more.
constexpr std::size_t small_payload = 1024;

Error upstream_error(boost::system::error_code code, const char* doing) { return Error{code, Origin::upstream, doing}; }
Error malformed(const char* doing) { return upstream_error(boost::system::errc::make_error_code(boost::system::errc::protocol_error), doing); }

}  // namespace

// ResponseBody

void ResponseBody::begin(const Framing& framing) {
  framing_ = framing;
  done_ = framing.kind == Framing::Kind::none || (framing.kind == Framing::Kind::length && framing.length == 0);
  if (!done_ && framing.kind != Framing::Kind::until_close) decoder_.emplace(framing, &trailers_);
}

Result<ResponseBody::Piece> ResponseBody::poll() {
  release_piece();
  if (done_) return Piece{{}, true};
  if (framing_.kind == Framing::Kind::until_close) {
    const std::string_view payload = upstream_.data();
    consume_next_ = payload.size();
    done_ = upstream_.ended();
    return Piece{payload, done_};
  }
  const BodyDecoder::Fed fed = decoder_->gather(upstream_.bytes(), upstream_.data().size());
  if (fed.state == BodyDecoder::State::malformed) return malformed("reading the response body");
  done_ = fed.state == BodyDecoder::State::done;
  consume_next_ = fed.consumed;
  return Piece{fed.payload, done_};
}

Task<Result<ResponseBody::Piece>> ResponseBody::next(std::chrono::milliseconds timeout) {
  for (;;) {
    const Result<Piece> piece = poll();
    if (!piece) co_return piece.error();
    if (piece->last || !piece->payload.empty()) co_return *piece;
    release_piece();
    if (!upstream_.reading()) upstream_.reserve(stream_block_bytes);
    upstream_.expires_after(timeout);
    const Result<bool> more = co_await upstream_.more();
    upstream_.never_expires();  // what the client needs for its part is not the upstream's fault
    if (!more) co_return upstream_error(more.error().code, "reading the response body");
    if (!*more && framing_.kind != Framing::Kind::until_close && upstream_.data().empty()) {
      co_return upstream_error(boost::asio::error::eof, "reading the response body");
    }
  }
}

// Relay

Task<Result<Relay::End>> Relay::run(Upload& upload) {
  for (;;) {
    const Result<bool> here = take_head();
    if (!here) co_return here.error();
    if (*here) break;
    if (std::exchange(interim_here_, false)) {
      const Status passed = co_await pass_interim();
      if (!passed) co_return passed.error();
      continue;
    }
    if (!upload.running()) upstream_.expires_after(timeout_);
    const Result<bool> more = co_await upstream_.more();
    upstream_.never_expires();
    if (!more) co_return upstream_error(more.error().code, "reading the response head");
    if (!*more) co_return upstream_error(boost::asio::error::eof, "reading the response head");
  }
  request_.answered = Steady::now();
  request_.upstream_status = head_.status;
  request_.source = plugin::Record::Source::upstream;
  mark_hop_by_hop(head_.headers);
  if (head_.status == 101) {
    if (!request_.head.upgrade_websocket) co_return malformed("switching protocols unasked");
    co_return co_await tunnel();
  }
  body_.begin(head_.framing);
  if (request_.chain->buffers_response && any_chosen(plugin::Phase::response)) co_return co_await send_buffered();

  if (!request_.body.complete() && request_.body.buffered()) request_.close_after = true;
  prepare_head();
  Piece piece{whole_, whole_.data() != nullptr};
  if (!piece.last) {
    const Result<Piece> first = body_.poll();
    if (!first) co_return first.error();
    piece = *first;
  }
  request_.status = head_.status;
  request_.response_started = true;
  std::string_view head = out_;
  for (;;) {
    const Pieces pieces = assemble(head, piece);
    request_.connection.writes();
    const Status sent = co_await client_.write(pieces[0], pieces[1], pieces[2], pieces[3]);
    if (!written(sent, pieces)) co_return End::close;
    if (piece.last) break;
    head = {};
    const Result<Piece> next = co_await body_.next(timeout_);
    if (!next) co_return next.error();
    piece = *next;
  }
  body_.release_piece();
  request_.received = Steady::now();
  co_return end();
}

Result<bool> Relay::take_head() {
  for (;;) {
    const HeadState state = parser_.parse(upstream_.data(), head_, request_.head.method);
    if (state == HeadState::failed) return malformed("reading the response head");
    if (state == HeadState::incomplete) {
      if (upstream_.data().size() >= max_response_head_bytes) return malformed("reading the response head");
      if (!upstream_.reading() && upstream_.data().size() >= 8192) upstream_.reserve(max_response_head_bytes);
      return false;
    }
    if (head_.status >= 200 || head_.status == 101) break;
    if (++interim_ > max_interim_responses) return malformed("reading the response head");
    // 100 (Continue) answers our Expect, which never went out: it is not the client's.
    if (head_.status != 100 && request_.head.version != http::Version::http_1_0) {
      interim_here_ = true;
      return false;
    }
    upstream_.consume(parser_.consumed());
    parser_.reset();
  }
  keep_block(parser_.consumed());
  return true;
}

// The head's views must outlive what is read next. When the whole answer is here, its block is simply kept.
void Relay::keep_block(std::size_t head_bytes) {
  const std::size_t buffered = upstream_.data().size() - head_bytes;
  if (head_.framing.kind == Framing::Kind::length && buffered >= head_.framing.length && buffered < stream_block_bytes) {
    whole_ = upstream_.data().substr(head_bytes, static_cast<std::size_t>(head_.framing.length));
    head_.framing = {Framing::Kind::none, 0};
    request_.response_block = upstream_.take_block(head_bytes + whole_.size());
  } else {
    request_.response_block = upstream_.take_block(head_bytes);
  }
}

Task<Status> Relay::pass_interim() {
  mark_hop_by_hop(head_.headers);
  remove_hop_by_hop(head_.headers, false);
  Output out(&request_.arena);
  write_response_head(out, head_.status, head_.reason, head_.headers);
  upstream_.consume(parser_.consumed());
  parser_.reset();
  const Pieces pieces{out};
  const bool sent = co_await write_client(pieces);
  if (!sent) co_return Error{boost::asio::error::connection_reset, Origin::client, "sending an interim response"};
  co_return Status{};
}

bool Relay::body_follows() const noexcept { return request_.head.method != "HEAD" && head_.status != 204 && head_.status != 304; }

// The chain may have a plugin for some consumers only.
bool Relay::any_chosen(plugin::Phase phase) const noexcept {
  return std::any_of(request_.chosen.begin(), request_.chosen.end(), [&](const Request::Chosen& each) { return has(each.phases, phase); });
}

void Relay::prepare_head() {
  http::Headers& headers = request_.sent_headers.emplace(request_.arena);
  headers.reserve(head_.headers.size() + 16);
  const bool upgrading = head_.status == 101;
  remove_hop_by_hop(head_.headers, upgrading);
  // What is left of TE says that the client takes trailers.
  trailers_wanted_ = request_.head.headers.find(Name::te) != nullptr;
  if (!trailers_wanted_) head_.headers.remove(Name::trailer);
  for (const http::Header& header : head_.headers) headers.add(header);
  unsigned status = head_.status;
  filter_headers(request_, status, headers);
  head_.status = status;

  filters_body_ = request_.chain->filters_body && any_chosen(plugin::Phase::body_filter);
  has_body_ = body_follows();
  if (head_.status == 204) headers.remove(Name::content_length);
  const bool known_length = headers.find(Name::content_length) != nullptr && !filters_body_;
  if (has_body_ && !upgrading && !known_length) {
    headers.remove(Name::content_length);
    chunked_ = request_.head.version != http::Version::http_1_0;
    // An HTTP/1.0 client learns the end of a body of unknown length from the end of the connection.
    if (!chunked_) request_.close_after = true;
    if (chunked_) headers.add(Name::transfer_encoding, "chunked");
  }
  if (request_.connection.draining()) request_.close_after = true;
  add_own_headers(request_, headers, plugin::Record::Source::upstream);
  if (upgrading) {
    headers.add(Name::connection, "upgrade");
  } else {
    headers.add(Name::connection, request_.close_after ? "close" : "keep-alive");
  }
  out_.reserve(1024);
  write_response_head(out_, head_.status, head_.reason, headers);
  request_.sent_head_bytes = out_.size();
}

bool Relay::written(const Status& sent, const Pieces& pieces) noexcept {
  request_.connection.awaits_upstream();
  if (!sent) {
    request_.client_gone = request_.close_after = true;
    return false;
  }
  for (const std::string_view piece : pieces) request_.sent_bytes += piece.size();
  return true;
}

Task<bool> Relay::write_client(Pieces pieces) {
  request_.connection.writes();
  const Status sent = co_await client_.write(pieces[0], pieces[1], pieces[2], pieces[3]);
  co_return written(sent, pieces);
}

Relay::Pieces Relay::assemble(std::string_view head, Piece piece) {
  if (!has_body_) return {head};
  std::string_view payload = piece.payload;
  if (filters_body_) {
    filtered_ = payload;
    for (const Request::Chosen& chosen : request_.chosen) {
      if (has(chosen.phases, plugin::Phase::body_filter)) chosen.plugin->body_filter(request_.exchange, filtered_, piece.last);
    }
    payload = filtered_;
  }
  if (!chunked_) {
    if (head.empty() || payload.size() > small_payload) return {head, payload};
    out_.append(payload);
    return {out_};
  }
  const std::string_view size = payload.empty() ? std::string_view{} : write_chunk_size(chunk_size_, payload.size());
  const std::string_view after = payload.empty() ? "" : "\r\n";
  if (!piece.last) return {head, size, payload, after};
  chunk_end_.assign(after).append("0\r\n");
  if (trailers_wanted_) {
    for (const http::Header& trailer : body_.trailers()) chunk_end_.append(trailer.name).append(": ").append(trailer.value).append("\r\n");
  }
  chunk_end_ += "\r\n";
  return {head, size, payload, chunk_end_};
}

// For plugins with a response phase: the whole answer in memory, then sent as one of known length.
Task<Result<Relay::End>> Relay::send_buffered() {
  std::string body(whole_);
  bool last = whole_.data() != nullptr;
  while (!last) {
    const Result<Piece> piece = co_await body_.next(timeout_);
    if (!piece) co_return piece.error();
    body += piece->payload;
    last = piece->last;
    if (body.size() > max_buffered_response_bytes) co_return malformed("buffering the response body: too large");
  }
  body_.release_piece();
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
  const std::string_view head = out_;
  const Pieces pieces = assemble(head, {body, true});
  const bool sent = co_await write_client(pieces);
  co_return sent ? end() : End::close;
}

}  // namespace gateway::proxy
