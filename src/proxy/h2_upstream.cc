#include "proxy/h2_upstream.h"

#include <boost/asio/error.hpp>

#include "http/h1/syntax.h"
#include "proxy/client.h"
#include "proxy/h2_fields.h"
#include "proxy/head_writer.h"
#include "proxy/upstream_head.h"
#include "proxy/websocket_key.h"
#include "proxy/worker.h"

namespace gateway::proxy {
namespace {

using http::Name;

constexpr std::size_t max_response_head_bytes = 65536;
constexpr unsigned max_heads = 33;  // interim ones and the final one

Error upstream_error(boost::system::error_code code, const char* doing) { return Error{code, Origin::upstream, doing}; }

}  // namespace

/// Waits until the piece that was given last is on its way.
class H2Upstream::Taken {
 public:
  explicit Taken(H2Upstream& side) noexcept : side_(side) {}
  bool await_ready() const { return side_.failed() || side_.call_->over || side_.connection_.send(side_.call_->out); }
  void await_suspend(std::coroutine_handle<> waiting) noexcept {
    side_.call_->out.waiting = waiting;
    side_.write_deadline_.set(side_.write_timeout_);
  }
  Status await_resume() const {
    side_.write_deadline_.clear();
    if (!side_.call_->out.taken()) return side_.failure("writing");
    return Status{};
  }

 private:
  H2Upstream& side_;
};

H2Upstream::H2Upstream(Request& request, upstream::H2Connection& connection, std::chrono::milliseconds write_timeout)
    : request_(request),
      connection_(connection),
      write_timeout_(write_timeout),
      deadline_(
          request.client.worker().loop().deadlines(), [](void* self) { static_cast<H2Upstream*>(self)->give_up_waiting(); }, this),
      write_deadline_(
          request.client.worker().loop().deadlines(), [](void* self) { static_cast<H2Upstream*>(self)->give_up_waiting(); }, this),
      headers_(request.arena),
      trailers_(request.arena) {}

H2Upstream::~H2Upstream() {
  if (call_ && call_->connection != nullptr) connection_.leave(*call_);
}

http::h2::Session::Fields H2Upstream::fields() const {
  using http::h2::Session;
  const plugin::Exchange& exchange = request_.exchange;
  http::Headers& headers = request_.head.headers;
  Session::Fields fields;
  fields.reserve(headers.size() + 5);
  const std::string_view path = sends_query(request_) ? join(request_.arena, {exchange.upstream_path, "?", exchange.upstream_query}) : exchange.upstream_path;
  fields.push_back(Session::field(":method", wants_tunnel() ? "CONNECT" : request_.head.method));
  if (wants_tunnel()) fields.push_back(Session::field(":protocol", "websocket"));
  fields.push_back(Session::field(":scheme", request_.upstream->tls ? "https" : "http"));
  fields.push_back(Session::field(":authority", headers.value(Name::host)));
  fields.push_back(Session::field(":path", path));
  for (const http::Header& header : headers) {
    // Host is said by :authority; a key is for HTTP/1.1 (RFC 8441, 5).
    if (header.id == Name::host || !has_h2_field(header)) continue;
    if (wants_tunnel() && http::equals_ignoring_case(header.name, websocket_key_header)) continue;
    fields.push_back(h2_field(header, request_.arena));
  }
  return fields;
}

Task<Status> H2Upstream::begin() {
  const RequestBody& body = request_.body;
  const bool whole = body.buffered() && !wants_tunnel();
  const bool trailers = whole && !body.trailers().empty();
  const bool follows = wants_tunnel() || (body.exists() && (!whole || !body.piece().empty() || trailers));
  call_ = connection_.call(*this, fields(), follows, whole ? body.piece() : std::string_view{}, whole);
  if (!call_) co_return upstream_error(boost::asio::error::try_again, "opening a stream");
  if (trailers) call_->out.trailers = &body.trailers();
  if (!follows || !whole) {
    connection_.flush();
    co_return Status{};
  }
  Status sent = co_await Taken(*this);
  co_return sent;
}

// Ends

Error H2Upstream::failure(const char* doing) const {
  if (timed_out_) return upstream_error(boost::asio::error::timed_out, doing);
  if (cancelled_) return upstream_error(boost::asio::error::operation_aborted, doing);
  // RFC 9113, 8.7: it has not been looked at.
  if (error_ == NGHTTP2_REFUSED_STREAM && !head_here_) return upstream_error(boost::asio::error::try_again, doing);
  if (malformed_ || error_ == NGHTTP2_PROTOCOL_ERROR) return upstream_error(boost::system::errc::make_error_code(boost::system::errc::protocol_error), doing);
  return upstream_error(boost::asio::error::connection_reset, doing);
}

void H2Upstream::wake() {
  if (waiting_) connection_.resume_later(std::exchange(waiting_, nullptr));
}

void H2Upstream::give_up_waiting() noexcept {
  timed_out_ = true;
  // Not a byte on the whole connection: it may lead nowhere any more, and others would wait on it as long.
  if (call_ && call_->connection != nullptr && connection_.heard() < begun_) connection_.drain();
  cancel();
}

void H2Upstream::cancel() noexcept {
  if (!timed_out_) cancelled_ = true;
  if (!call_ || call_->connection == nullptr) return;
  connection_.reset(call_->out.id, NGHTTP2_CANCEL);
  if (call_->out.waiting) connection_.resume_later(std::exchange(call_->out.waiting, nullptr));
  wake();
  connection_.resume_soon();
}

void H2Upstream::closed(std::uint32_t error) {
  closed_ = true;
  error_ = error;
  wake();
}

void H2Upstream::expires_after(std::chrono::milliseconds after) noexcept { deadline_.set(after); }
void H2Upstream::never_expires() noexcept { deadline_.clear(); }

// The request's body

Task<Status> H2Upstream::send(std::string_view piece) {
  call_->out.payload = piece;
  Status sent = co_await Taken(*this);
  co_return sent;
}

Task<Status> H2Upstream::send_end(const http::Headers& trailers) {
  call_->out.payload = {};
  call_->out.last = true;
  if (!trailers.empty()) call_->out.trailers = &trailers;
  Status sent = co_await Taken(*this);
  co_return sent;
}

// The answer

bool H2Upstream::take_field(std::string_view name, std::string_view value) {
  if (head_here_ && status_ >= 200) {
    if (trailers_.size() >= 100) return true;
    trailers_.add(http::Header{trailers_.keep(name), trailers_.keep(value), Name::other});
    return true;
  }
  head_bytes_ += name.size() + value.size() + 32;
  if (head_bytes_ > max_response_head_bytes) {
    malformed_ = true;
    return false;
  }
  if (name == ":status") {
    if (++heads_ > max_heads) malformed_ = true;
    if (malformed_) return false;
    if (head_here_) put_interim_aside();
    status_ = 0;
    for (const char c : value) status_ = status_ * 10 + static_cast<unsigned>(c - '0');
    return true;
  }
  if (!http::h1::is_field_value(value)) {
    malformed_ = true;
    return false;
  }
  const Name id = http::classify(name);
  headers_.add(http::Header{headers_.keep(name), headers_.keep(value), id, false, true});
  return true;
}

void H2Upstream::end_head() {
  if (head_here_ && head_taken_) return;  // trailers
  head_here_ = true;
  wake();
}

void H2Upstream::take_data(std::string_view bytes) {
  arrived_ += bytes;
  wake();
}

void H2Upstream::end_body() {
  ended_ = true;
  wake();
}

// Heads may come faster than they are passed on.
void H2Upstream::put_interim_aside() {
  interims_.push_back({status_, headers_});
  head_here_ = false;
  headers_.clear();
}

Result<UpstreamSide::Head> H2Upstream::take_head(http::ResponseHead& head) {
  if (malformed_) return failure("reading the response head");
  if (head_here_ && status_ < 200) put_interim_aside();
  // 100 (Continue) answers our Expect, which never went out: it is not the client's.
  while (!interims_.empty() && interims_.front().status == 100) interims_.pop_front();
  if (interims_.empty() && !head_here_) return Head::incomplete;
  const bool interim = !interims_.empty();
  head.status = interim ? interims_.front().status : status_;
  head.reason = http::reason_phrase(head.status);
  head.version = http::Version::http_2;
  head.headers = interim ? interims_.front().headers : headers_;
  head.keep_alive = true;
  if (head.status == 101) {
    return upstream_error(boost::system::errc::make_error_code(boost::system::errc::protocol_error), "reading the response head");
  }
  if (interim) return Head::interim;
  head_taken_ = true;
  if (wants_tunnel() && status_ < 300) switch_protocols(head);
  return Head::final;
}

// RFC 8441, 5: what HTTP/1.1 says with 101.
void H2Upstream::switch_protocols(http::ResponseHead& head) const {
  head.status = 101;
  head.reason = http::reason_phrase(head.status);
  head.headers.remove(Name::content_length);
  head.headers.set(Name::upgrade, "websocket");
  head.headers.set("Sec-WebSocket-Accept", websocket_accept(request_.head.headers.value(websocket_key_header), request_.arena));
}

void H2Upstream::pass_interim() { interims_.pop_front(); }

void H2Upstream::release_piece() noexcept {
  if (given_.empty()) return;
  const std::size_t bytes = given_.size();
  given_.clear();
  if (!ended_ && call_->connection != nullptr) connection_.used(call_->out.id, bytes);
}

Result<UpstreamSide::Piece> H2Upstream::poll() {
  release_piece();
  if (!arrived_.empty()) {
    given_.swap(arrived_);
    return Piece{given_, ended_};
  }
  if (ended_) return Piece{{}, true};
  if (failed()) return failure("reading the response body");
  return Piece{{}, false};
}

bool H2Upstream::has_arrived() { return !arrived_.empty() || ended_ || closed_ || failed() || (head_here_ && !head_taken_) || malformed_; }

bool H2Upstream::wait(std::coroutine_handle<> waiting) {
  waiting_ = waiting;
  return true;
}

Result<bool> H2Upstream::arrival() {
  if (failed() || malformed_) return failure(head_taken_ ? "reading the response body" : "reading the response head");
  // It ended without a head: that is no answer.
  if (ended_ && !head_here_) return upstream_error(boost::asio::error::eof, "reading the response head");
  return true;
}

}  // namespace gateway::proxy
