#include "upstream/h2_pool.h"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <coroutine>
#include <utility>

#include "base/log.h"

namespace gateway::upstream {
namespace {

// More than peers usually allow at a time; a second connection costs little then.
constexpr std::size_t streams_per_connection = 100;

http::h2::Session::Limits client_limits() {
  http::h2::Session::Limits limits;
  limits.server = false;
  limits.header_bytes = 65536;
  // Answers are what we ask for: they may come fast from the beginning.
  limits.stream_window = 262144;
  return limits;
}

Task<void> serve_connection(H2Connection& connection) { co_await connection.serve(); }

H2Call& call_of(void* stream) { return *static_cast<H2Call*>(stream); }

}  // namespace

// H2Connection

H2Connection::H2Connection(H2Pool& pool, ConnectionPtr connection, const Destination& to, std::chrono::milliseconds idle)
    : Session(connection->stream(), client_limits()), pool_(pool), connection_(std::move(connection)), to_(to), idle_(idle) {}

Task<void> H2Connection::serve() {
  co_await run();
  for (const H2CallPtr& call : std::vector<H2CallPtr>(calls_)) stream_closed(call.get(), NGHTTP2_INTERNAL_ERROR);
  wake_greeted();
  resume_ready();
  Pool::discard(std::move(connection_));
  pool_.remove(*this);
}

bool H2Connection::has_room() const noexcept {
  const std::size_t most = std::min<std::size_t>(streams_per_connection, streams_allowed());
  return takes_streams() && calls_.size() < most;
}

H2CallPtr H2Connection::call(H2Caller& caller, const Fields& fields, bool body, std::string_view first, bool last) {
  auto call = std::make_shared<H2Call>();
  call->caller = &caller;
  call->connection = this;
  call->out.payload = first;
  call->out.last = last;
  if (!submit_request(call->out, fields, body, call.get())) return nullptr;
  if (calls_.empty()) stream().never_expires();
  calls_.push_back(call);
  return call;
}

void H2Connection::leave(H2Call& call) {
  call.caller = nullptr;
  call.out.payload = {};
  call.out.trailers = nullptr;
  call.out.waiting = nullptr;
  if (!call.over) reset(call.out.id, NGHTTP2_CANCEL);
}

void H2Connection::resume_soon() {
  pool_.loop().post([this] { resume_ready(); });
}

void H2Connection::settings_came() {
  greeted_ = true;
  wake_greeted();
}

void H2Connection::wake_greeted() {
  while (greetings_ != nullptr) {
    resume_later(greetings_->handle);
    greetings_->unlink();
  }
}

bool H2Connection::take_field(void* stream, std::string_view name, std::string_view value) {
  H2Caller* caller = call_of(stream).caller;
  return caller == nullptr || caller->take_field(name, value);
}

void H2Connection::end_head(void* stream, bool /*end_of_stream*/) {
  if (H2Caller* caller = call_of(stream).caller) caller->end_head();
}

void H2Connection::take_data(void* stream, std::string_view bytes) {
  H2Call& call = call_of(stream);
  if (call.caller != nullptr) call.caller->take_data(bytes);
}

void H2Connection::end_body(void* stream) {
  if (H2Caller* caller = call_of(stream).caller) caller->end_body();
}

void H2Connection::stream_closed(void* stream, std::uint32_t error) {
  H2Call& call = call_of(stream);
  call.over = true;
  call.connection = nullptr;
  if (call.caller != nullptr) call.caller->closed(error);
  if (call.out.waiting) resume_later(std::exchange(call.out.waiting, nullptr));
  std::erase_if(calls_, [&](const H2CallPtr& each) { return each.get() == &call; });
  if (calls_.empty() && !ended() && idle_.count() > 0) this->stream().expires_after(idle_);
}

void H2Connection::misbehaves(const char* how) { log::warn("closed an HTTP/2 connection to {}: too many {}", to_.address.to_string(), how); }

// Greeting

Greeting::Greeting(H2Connection& connection, std::chrono::milliseconds longest, Dialling& dialling)
    : connection_(connection),
      loop_(connection.pool_.loop()),
      longest_(longest),
      dialling_(dialling),
      deadline_(
          loop_.deadlines(), [](void* self) { static_cast<Greeting*>(self)->give_up(boost::asio::error::timed_out); }, this) {
  if (dialling_.cancelled()) error_ = boost::asio::error::operation_aborted;
  dialling_.begin(this, [](void* self) noexcept { static_cast<Greeting*>(self)->give_up(boost::asio::error::operation_aborted); });
}

void Greeting::await_suspend(std::coroutine_handle<> waiting) {
  handle = waiting;
  link_to(connection_.greetings_);
  deadline_.set(longest_);
}

// Not from inside of whatever noticed that the client has left.
void Greeting::give_up(const boost::system::error_code& why) noexcept {
  if (link == nullptr) return;
  unlink();
  error_ = why;
  loop_.post([waiting = handle] { waiting.resume(); });
}

Status Greeting::await_resume() {
  deadline_.clear();
  if (error_) return Error{error_, Origin::upstream, "waiting for HTTP/2 settings"};
  if (!connection_.greeted_) return Error{boost::asio::error::connection_reset, Origin::upstream, "waiting for HTTP/2 settings"};
  return {};
}

// H2Pool

H2Pool::~H2Pool() = default;

H2Connection* H2Pool::find(const Destination& to) const noexcept {
  const auto found = connections_.find(to);
  if (found == connections_.end()) return nullptr;
  for (const auto& each : found->second) {
    if (each->has_room()) return each.get();
  }
  return nullptr;
}

struct H2Pool::Opening {
  explicit Opening(const Destination& where) : to(where) {}
  Destination to;
  Dialling dialling;
  std::vector<Turn*> waiting;
};

class H2Pool::Turn {
 public:
  Turn(H2Pool& pool, std::shared_ptr<Opening> opening, Dialling* dialling) : pool_(pool), opening_(std::move(opening)), dialling_(dialling) {
    opening_->waiting.push_back(this);
    if (dialling_ != nullptr) dialling_->begin(this, [](void* turn) noexcept { static_cast<Turn*>(turn)->give_up(); });
  }
  ~Turn() {
    if (dialling_ != nullptr) dialling_->over();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  bool await_ready() const noexcept { return over_; }
  void await_suspend(std::coroutine_handle<> waiting) noexcept { waiting_ = waiting; }
  Status await_resume() { return outcome_; }

  void end(const Status& outcome) {
    over_ = true;
    outcome_ = outcome;
  }
  /// After end(): whoever waits goes on at once.
  void resume() {
    if (waiting_) std::exchange(waiting_, nullptr).resume();
  }

 private:
  void give_up() noexcept {
    if (over_) return;
    end(Error{boost::asio::error::operation_aborted, Origin::upstream, "connecting to " + opening_->to.address.to_string()});
    std::erase(opening_->waiting, this);
    if (opening_->waiting.empty()) {
      // Those who come from here on want one of their own.
      pool_.forget(*opening_);
      opening_->dialling.cancel();
    }
    // Not from inside of whatever noticed that the client has left.
    if (waiting_) pool_.loop_.post([waiting = std::exchange(waiting_, nullptr)] { waiting.resume(); });
  }

  H2Pool& pool_;
  std::shared_ptr<Opening> opening_;
  Dialling* dialling_;
  std::coroutine_handle<> waiting_;
  Status outcome_;
  bool over_ = false;
};

Task<Result<H2Connection*>> H2Pool::connect(const Destination& to, std::chrono::milliseconds timeout, Dialling* dialling) {
  for (;;) {
    if (H2Connection* kept = find(to)) co_return kept;
    std::shared_ptr<Opening>& known = openings_[to];
    const bool first = known == nullptr;
    if (first) known = std::make_shared<Opening>(to);
    const std::shared_ptr<Opening> opening = known;
    Turn turn(*this, opening, dialling);
    if (first) spawn(open(opening, timeout));
    const Status opened = co_await turn;
    if (!opened) co_return opened.error();
    // There may have been too many for it: another one for the rest.
  }
}

Task<void> H2Pool::open(std::shared_ptr<Opening> opening, std::chrono::milliseconds timeout) {
  Result<ConnectionPtr> connection = co_await pool_.connect(opening->to, timeout, Speaks::http2, &opening->dialling);
  Status outcome;
  if (connection) {
    outcome = admit(opening->to, std::move(*connection));
  } else {
    Error error = connection.error();
    if (tls::is_no_common_protocol(error.code)) error.code = boost::asio::error::no_protocol_option;
    outcome = std::move(error);
  }
  forget(*opening);
  // First all are told: what one of them does may end another.
  const std::vector<Turn*> waiting = std::exchange(opening->waiting, {});
  for (Turn* turn : waiting) turn->end(outcome);
  for (Turn* turn : waiting) turn->resume();
}

Status H2Pool::admit(const Destination& to, ConnectionPtr connection) {
  if (to.tls) {
    const auto* session = static_cast<const tls::Session*>(connection->stream().layer());
    if (session->alpn() != "h2") {
      Pool::discard(std::move(connection));
      return Error{boost::asio::error::no_protocol_option, Origin::upstream, "no agreement on HTTP/2 with " + to.address.to_string()};
    }
  }
  auto made = std::make_unique<H2Connection>(*this, std::move(connection), to, idle_);
  H2Connection& usable = *made;
  connections_[to].push_back(std::move(made));
  // Those who wanted it may have left meanwhile; the first call takes the deadline away.
  if (idle_.count() > 0) usable.stream().expires_after(idle_);
  spawn(serve_connection(usable));
  if (!usable.has_room()) return Error{boost::asio::error::try_again, Origin::upstream, "a connection that takes no streams, to " + to.address.to_string()};
  return {};
}

void H2Pool::forget(const Opening& opening) {
  const auto found = openings_.find(opening.to);
  if (found != openings_.end() && found->second.get() == &opening) openings_.erase(found);
}

void H2Pool::remove(H2Connection& ended) {
  const auto found = connections_.find(ended.to_);
  const auto at = std::find_if(found->second.begin(), found->second.end(), [&](const auto& each) { return each.get() == &ended; });
  // Its own coroutine is still running on it.
  std::shared_ptr<H2Connection> last(std::move(*at));
  found->second.erase(at);
  if (found->second.empty()) connections_.erase(found);
  loop_.post([last = std::move(last)] {});
}

void H2Pool::clear() {
  for (auto& [to, list] : connections_) {
    for (const auto& each : list) each->calls_.empty() ? each->abort() : each->drain();
  }
}

}  // namespace gateway::upstream
