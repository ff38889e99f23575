#include "proxy/h2_client.h"

#include <algorithm>
#include <boost/asio/error.hpp>

#include "proxy/answer.h"
#include "proxy/client_address.h"
#include "proxy/finish.h"
#include "proxy/h2_fields.h"
#include "proxy/upstream_head.h"
#include "proxy/worker.h"

namespace gateway::proxy {
namespace {

using http::Name;

// From here on a body is an upload, and gets room for more of it on the way.
constexpr std::uint64_t widen_after = 32768;
// Many clients say that a body has ended in a frame behind it, which may come after our answer to it.
constexpr std::chrono::milliseconds end_grace{5000};

Error client_error(boost::system::error_code code) { return Error{code, Origin::client, "reading the request body"}; }

}  // namespace

/// Something has come for the reader, or never will.
class H2Client::Arrival {
 public:
  explicit Arrival(H2Client& client) noexcept : client_(client) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) noexcept { client_.reading_ = waiting; }
  void await_resume() const noexcept {}

 private:
  H2Client& client_;
};

H2Client::H2Client(H2Connection& connection, http::h2::StreamId id)
    : Client(connection.worker()),
      connection_(connection),
      request_(connection.worker().new_request(*this, connection.connection().facts())),
      builder_(request_->head, worker().options().head),
      head_due_(
          worker().loop().deadlines(), [](void* self) { static_cast<H2Client*>(self)->connection_.head_too_slow(); }, this),
      send_due_(
          worker().loop().deadlines(), [](void* self) { static_cast<H2Client*>(self)->cancel(); }, this),
      body_due_(
          worker().loop().deadlines(),
          [](void* self) {
            auto& client = *static_cast<H2Client*>(self);
            client.body_timed_out_ = true;
            client.wake_reader();
            client.connection_.resume_soon();
          },
          this),
      max_body_bytes_(worker().options().max_body_bytes) {
  out_.id = id;
  head_due_.set(worker().options().head_timeout);
}

H2Client::~H2Client() {
  if (widened_) connection_.narrowed();
}

// The head

bool H2Client::take_field(std::string_view name, std::string_view value) {
  if (!head_whole_) {
    builder_.add(name, value);
    return true;
  }
  // Behind the body: trailers.
  trailer_bytes_ += name.size() + value.size();
  if (trailer_bytes_ > worker().options().head.max_head_bytes) return false;
  if (name.empty() || name.front() == ':' || started_over_) return true;
  http::Header field{name, value, http::classify(name)};
  http::Headers& trailers = request_->body.trailers();
  if (http::may_be_trailer(field)) trailers.add({trailers.keep(name), trailers.keep(value), Name::other});
  return true;
}

void H2Client::end_head(bool ends) {
  if (std::exchange(head_whole_, true)) return;
  head_due_.clear();
  refused_ = builder_.finish(ends);
  ended_ = ends;
  begin_request(ends);
}

void H2Client::begin_request(bool ends) {
  Request& request = *request_;
  const Options& options = worker().options();
  request.head_bytes = builder_.bytes();
  if (refused_ != 0) return;
  resolve_client_address(request.connection_facts, request.head.headers, options);
  const http::Framing& framing = request.head.framing;
  if (ends || request.head.upgrade_websocket) {
    request.body.begin(request.head.framing, {});
    return;
  }
  request.body.begin(framing, *this);
  send_continue_ = request.head.expects_continue;
  if (framing.kind == http::Framing::Kind::length && max_body_bytes_ != 0 && framing.length > max_body_bytes_) {
    request.body_refused = make_error_code(BodyError::too_large);
  }
}

Task<void> H2Client::serve() {
  serving_ = true;
  if (closed_) {
    // Taken back before anything was done about it.
    request_->client_gone = true;
    request_->status = 499;
  } else if (refused_ != 0) {
    co_await refuse_unread(*request_, refused_, builder_.reason());
  } else {
    co_await answer(*request_);
  }
  proxy::finish(*request_);
  send_due_.clear();
  body_due_.clear();
  body_timed_out_ = false;
  if (!closed_ && !connection_.ended()) {
    if (!answered_) {
      connection_.reset(out_.id, request_->response_started ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_CANCEL);
    } else if (!ended_ && body_came_whole()) {
      body_due_.set(end_grace);
    } else if (!ended_) {
      connection_.reset(out_.id, NGHTTP2_NO_ERROR);  // RFC 9113, 8.1: the rest of the body is not needed
    }
  }
  // The session may look at what it has to send until the stream is closed.
  out_.payload = {};
  out_.trailers = nullptr;
  started_over_ = true;
  request_.reset();
  std::string().swap(arrived_);
  std::string().swap(given_);
  while (!closed_) {
    co_await Arrival(*this);
    if (std::exchange(body_timed_out_, false) && !closed_) connection_.reset(out_.id, NGHTTP2_NO_ERROR);
  }
  connection_.remove(*this);
}

// The body

bool H2Client::body_came_whole() const noexcept {
  const http::Framing& framing = request_->head.framing;
  return framing.kind == http::Framing::Kind::length && received_ == framing.length;
}

void H2Client::wake_reader() {
  if (reading_) connection_.resume_later(std::exchange(reading_, nullptr));
}

void H2Client::take_data(std::string_view bytes) {
  if (started_over_) return;
  arrived_ += bytes;
  received_ += bytes.size();
  wake_reader();
}

void H2Client::end_body() {
  ended_ = true;
  wake_reader();
}

void H2Client::release() noexcept {
  if (given_.empty()) return;
  const std::size_t bytes = given_.size();
  given_.clear();
  if (!widened_ && received_ > widen_after && !ended_ && !closed_ && connection_.may_widen()) {
    widened_ = true;
    connection_.widen(out_.id);
  }
  if (!closed_ && !ended_) connection_.used(out_.id, bytes);
}

Task<Result<std::string_view>> H2Client::read() {
  release();
  if (std::exchange(send_continue_, false) && !ended_) {
    const http::h2::Session::Fields fields = {http::h2::Session::field(":status", "100")};
    connection_.submit_interim(out_.id, fields);
    connection_.flush();
  }
  const auto wanting = [&] { return arrived_.empty() && !ended_ && !closed_ && !interrupted_ && !body_timed_out_ && !cancelled_; };
  if (wanting()) {
    if (!tunnel_) body_due_.set(worker().options().body_timeout);
    while (wanting()) co_await Arrival(*this);
    body_due_.clear();
  }
  if (std::exchange(interrupted_, false) || cancelled_) co_return client_error(boost::asio::error::operation_aborted);
  if (max_body_bytes_ != 0 && received_ > max_body_bytes_ && !tunnel_) co_return client_error(make_error_code(BodyError::too_large));
  if (!arrived_.empty()) {
    given_.swap(arrived_);
    co_return std::string_view(given_);
  }
  if (ended_) co_return std::string_view{};
  if (body_timed_out_) co_return client_error(boost::asio::error::timed_out);
  co_return client_error(make_error_code(BodyError::ended_early));
}

void H2Client::interrupt() noexcept {
  if (!reading_) return;
  interrupted_ = true;
  wake_reader();
  connection_.resume_soon();
}

// The end

void H2Client::closed(std::uint32_t error) {
  closed_ = true;
  const bool all_sent = out_.last && out_.taken();
  if (!answered_ && !(error == NGHTTP2_NO_ERROR && all_sent)) left();
  wake_reader();
  if (out_.waiting) connection_.resume_later(std::exchange(out_.waiting, nullptr));
}

void H2Client::cut_off() noexcept {
  if (closed_) return;
  closed(NGHTTP2_CANCEL);
}

void H2Client::cancel() noexcept {
  cancelled_ = true;
  if (!closed_) connection_.reset(out_.id, NGHTTP2_CANCEL);
  if (!tunnel_) left();
  wake_reader();
  if (out_.waiting) connection_.resume_later(std::exchange(out_.waiting, nullptr));
  connection_.resume_soon();
}

// Answers

void H2Client::frame(Answer& answer) {
  if (!answer.upgrades) return;
  // RFC 8441, 5: what 101 says in HTTP/1.1.
  answer.status = 200;
  answer.headers->remove("Sec-WebSocket-Accept");
}

void H2Client::submit_head(Answer& answer, bool body) {
  Request& request = answer.request;
  http::h2::Session::Fields fields;
  fields.reserve(answer.headers->size() + 1);
  const std::string_view status = number(request.arena, static_cast<std::int64_t>(answer.status));
  fields.push_back(http::h2::Session::field(":status", status));
  std::size_t bytes = 0;
  for (const http::Header& header : *answer.headers) {
    if (!has_h2_field(header)) continue;
    fields.push_back(h2_field(header, request.arena));
    bytes += fields.back().namelen + fields.back().valuelen;
  }
  if (answer.interim) {
    connection_.submit_interim(out_.id, fields);
  } else {
    request.sent_head_bytes = bytes;
    connection_.submit_response(out_, fields, body);
  }
}

bool H2Client::begin(Sending& piece) {
  Answer& answer = piece.answer;
  if (closed_ || cancelled_ || connection_.ended()) return true;
  if (answer.interim) {
    submit_head(answer, false);
    connection_.flush();
    return true;
  }
  const std::string_view payload = answer.has_body || answer.upgrades ? piece.payload : std::string_view{};
  const bool trailers = piece.last && answer.trailers_wanted && answer.trailers != nullptr && !answer.trailers->empty();
  out_.payload = payload;
  out_.last = piece.last;
  out_.trailers = trailers ? answer.trailers : nullptr;
  piece.bytes = payload.size();
  if (!std::exchange(answer.head_sent, true)) {
    // Behind an answer that comes before the request's end follows a reset, which nghttp2 would let overtake a head that has not
    // been sent yet: a frame for the end is waited for.
    const bool body = answer.upgrades || !ended_ || (answer.has_body && !(piece.last && payload.empty() && !trailers));
    submit_head(answer, body);
    piece.bytes += answer.request.sent_head_bytes;
  } else if (!out_.open) {
    return true;  // its head was all of it
  }
  return connection_.send(out_);
}

void H2Client::wait(Sending& /*piece*/, std::coroutine_handle<> waiting) {
  out_.waiting = waiting;
  send_due_.set(worker().options().send_timeout);
}

Status H2Client::end(Sending& piece) {
  send_due_.clear();
  Request& request = piece.answer.request;
  if (cancelled_ || (!piece.answer.interim && !out_.taken()) || (closed_ && !piece.last)) {
    request.client_gone = request.close_after = true;
    left();
    return Error{boost::asio::error::connection_reset, Origin::client, "sending the answer"};
  }
  request.sent_bytes += piece.bytes;
  if (piece.last && !piece.answer.interim) answered_ = true;
  return Status{};
}

void H2Client::end_sending() noexcept {
  if (closed_ || !out_.open) return;
  out_.payload = {};
  out_.last = true;
  answered_ = true;
  connection_.send(out_);
}

}  // namespace gateway::proxy
