#include "proxy/h2_connection.h"

#include <algorithm>
#include <boost/asio/error.hpp>

#include "base/log.h"
#include "proxy/h2_client.h"
#include "proxy/worker.h"

namespace gateway::proxy {
namespace {

using http::h2::StreamId;

// Long enough that a busy client's connection never rests.
constexpr std::chrono::milliseconds rest_after{2000};

http::h2::Session::Limits limits_of(const Options& options) {
  http::h2::Session::Limits limits;
  limits.streams = options.http2_streams;
  limits.header_bytes = options.head.max_head_bytes;
  return limits;
}

Task<void> serve_stream(H2Client& client) { co_await client.serve(); }

H2Client& client_of(void* stream) { return *static_cast<H2Client*>(stream); }

}  // namespace

class H2Connection::AllEnded {
 public:
  explicit AllEnded(H2Connection& connection) noexcept : connection_(connection) {}
  bool await_ready() const noexcept { return connection_.clients_.empty(); }
  void await_suspend(std::coroutine_handle<> waiting) noexcept { connection_.waiting_for_end_ = waiting; }
  void await_resume() const noexcept {}

 private:
  H2Connection& connection_;
};

H2Connection::H2Connection(Connection& connection)
    : Session(connection.stream(), limits_of(connection.worker().options())),
      connection_(connection),
      idle_due_(
          worker().loop().deadlines(), [](void* self) { static_cast<H2Connection*>(self)->say_farewell(); }, this),
      rest_due_(
          worker().loop().deadlines(), [](void* self) { static_cast<H2Connection*>(self)->rest(); }, this) {}

H2Connection::~H2Connection() = default;

Task<void> H2Connection::serve() {
  wait_for_streams();
  co_await run();
  idle_due_.clear();
  rest_due_.clear();
  if (clients_.empty()) worker().count_waiting(-1);
  // Requests that nothing was done about yet go at once, the others when they have seen that nobody waits for them.
  starting_.clear();
  std::erase_if(clients_, [](const auto& client) { return !client->serving(); });
  for (std::size_t i = 0; i < clients_.size(); ++i) clients_[i]->place_ = i;
  for (const auto& client : clients_) client->cut_off();
  resume_ready();
  co_await part();
  co_await AllEnded(*this);
}

void H2Connection::drain() noexcept { Session::drain(); }

void H2Connection::abort() noexcept { Session::abort(); }

void H2Connection::resume_soon() {
  worker().loop().post([this] { resume_ready(); });
}

// Nothing is asked of us: that does not go on for ever.
void H2Connection::wait_for_streams() noexcept {
  const Options& options = worker().options();
  worker().count_waiting(1);
  stream().never_expires();
  rest_due_.set(rest_after);
  idle_due_.set(connection_.facts().requests == 0 ? options.head_timeout : options.idle_timeout);
}

void* H2Connection::begin_stream(StreamId id) {
  // Those that were reset and have not ended yet count as well: nobody gets more work out of us by taking it back.
  if (clients_.size() >= 2 * std::size_t{limits().streams}) {
    reset(id, NGHTTP2_REFUSED_STREAM);
    return nullptr;
  }
  if (clients_.empty()) {
    worker().count_waiting(-1);
    idle_due_.clear();
    rest_due_.clear();
  }
  ++connection_.facts().requests;
  auto client = std::make_unique<H2Client>(*this, id);
  client->place_ = clients_.size();
  clients_.push_back(std::move(client));
  return clients_.back().get();
}

bool H2Connection::take_field(void* stream, std::string_view name, std::string_view value) { return client_of(stream).take_field(name, value); }

void H2Connection::end_head(void* stream, bool end_of_stream) {
  H2Client& client = client_of(stream);
  if (client.head_whole()) return;
  client.end_head(end_of_stream);
  starting_.push_back(&client);
}

void H2Connection::take_data(void* stream, std::string_view bytes) { client_of(stream).take_data(bytes); }

void H2Connection::end_body(void* stream) { client_of(stream).end_body(); }

void H2Connection::stream_closed(void* stream, std::uint32_t error) {
  H2Client& client = client_of(stream);
  if (client.head_whole()) return client.closed(error);
  // It was reset before it was a request.
  remove(client);
}

void H2Connection::came_in() {
  for (H2Client* client : starting_) spawn(serve_stream(*client));
  starting_.clear();
  if (connection_.facts().requests >= worker().options().requests_per_connection) Session::drain();
}

void H2Connection::misbehaves(const char* how) { log::warn("closed an HTTP/2 connection from {}: too many {}", connection_.facts().peer_ip, how); }

void H2Connection::remove(H2Client& client) {
  const std::size_t place = client.place_;
  std::unique_ptr<H2Client> ended = std::move(clients_[place]);
  if (place + 1 != clients_.size()) {
    clients_[place] = std::move(clients_.back());
    clients_[place]->place_ = place;
  }
  clients_.pop_back();
  if (clients_.empty() && !Session::ended()) wait_for_streams();
  ended.reset();
  if (clients_.empty() && waiting_for_end_) std::exchange(waiting_for_end_, nullptr).resume();
}

}  // namespace gateway::proxy
