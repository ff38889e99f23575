#include "proxy/worker.h"

#include <sys/socket.h>
#include <unistd.h>

#include <new>

#include "base/log.h"
#include "base/uuid.h"

namespace gateway::proxy {
namespace {

// Memory of finished requests that is kept for the next ones.
constexpr std::size_t spare_requests = 1024;

std::atomic<std::uint64_t> connections_seen{0};

Task<void> serve(Connection& connection) { co_await connection.serve(); }

}  // namespace

Worker::Worker(const Options& options, const net::Resolver::Options& dns, telemetry::LogFile& access_log, telemetry::LogFile& stream_log)
    : options_(options),
      via_{"1.0 " + options.product, "1.1 " + options.product, "2 " + options.product},
      resolver_(loop_, dns),
      pool_(loop_, options.keepalive),
      h2_pool_(loop_, pool_, options.keepalive.idle),
      log_(access_log),
      streams_({loop_, options, snapshot_, resolver_, tls_, statistics_, [this] { end_if_idle(); }}, stream_log) {
  loop_.every_second([this] { log_.flush(); });
}

Worker::~Worker() {
  for (void* memory : free_requests_) ::operator delete(memory);
}

Status Worker::prepare_tls() {
  Result<std::unique_ptr<tls::ServerContext>> made = tls::ServerContext::make(options_.tls, *this);
  if (!made) return made.error();
  tls_ = std::move(*made);
  return {};
}

void Worker::set_ticket_keys(const tls::TicketKeys& keys) {
  loop_.post([this, keys] {
    if (tls_) tls_->set_ticket_keys(keys);
  });
}

const tls::ServerCertificate* Worker::certificate_for(std::string_view server_name) const {
  const snapshot::SnapshotPtr config = snapshot_.pin();
  const tls::ServerCertificate* named = config && !server_name.empty() ? config->server_names.find(server_name) : nullptr;
  return named != nullptr ? named : options_.default_certificate.get();
}

void Worker::listen(net::ListeningSocket socket, const Listening& how) {
  Listening& at = places_.emplace_back(how);
  at.local = socket.local_address();
  listeners_.push_back(std::make_unique<net::Listener>(loop_, std::move(socket),
                                                       [this, &at](int descriptor, const net::SocketAddress& peer) { accepted(descriptor, peer, at); }));
}

void Worker::run() {
  loop_.post([this] {
    for (const auto& listener : listeners_) listener->start();
    streams_.start();
  });
  loop_.run();
  log_.flush();
}

void Worker::replace(snapshot::SnapshotPtr next) {
  loop_.post([this, next = std::move(next)] { snapshot_.replace(next); });
}

void Worker::accepted(int descriptor, const net::SocketAddress& peer, const Listening& at) {
  statistics_.accepted.add(1);
  if (connections_.size() >= options_.max_connections) {
    if (!told_full_) log::error("{} connections are open: new ones are closed until some end", connections_.size());
    told_full_ = true;
    ::close(descriptor);
    return;
  }
  told_full_ = false;
  auto connection = std::make_unique<Connection>(*this, descriptor, peer, at);
  connection->place_ = connections_.size();
  Connection& serving = *connection;
  connections_.push_back(std::move(connection));
  statistics_.active.add(1);
  spawn(serve(serving));
}

void Worker::remove(Connection& connection) noexcept {
  const std::size_t place = connection.place_;
  statistics_.active.add(-1);
  // Its own coroutine is still running on it: it goes when that has unwound.
  std::shared_ptr<Connection> ended(std::move(connections_[place]));
  if (place + 1 != connections_.size()) {
    connections_[place] = std::move(connections_.back());
    connections_[place]->place_ = place;
  }
  connections_.pop_back();
  loop_.post([this, ended = std::move(ended)]() mutable {
    ended.reset();
    end_if_idle();
  });
}

void RequestDeleter::operator()(Request* request) const noexcept { worker->free_request(request); }

RequestPtr Worker::new_request(Client& client, const plugin::Connection& facts) {
  void* memory = nullptr;
  if (free_requests_.empty()) {
    memory = ::operator new(sizeof(Request));
  } else {
    memory = free_requests_.back();
    free_requests_.pop_back();
  }
  RequestPtr request(new (memory) Request(client, facts), {this});
  write_request_id(request->id);
  request->exchange.request_id = {request->id, sizeof request->id};
  request->started = Steady::now();
  request->exchange.started = System::now();
  return request;
}

void Worker::free_request(Request* request) noexcept {
  request->~Request();
  if (free_requests_.size() < spare_requests) {
    free_requests_.push_back(request);
  } else {
    ::operator delete(request);
  }
}

std::uint64_t Worker::next_serial() noexcept { return connections_seen.fetch_add(1, std::memory_order_relaxed) + 1; }

void Worker::drain() {
  loop_.post([this] {
    draining_ = true;
    for (const auto& listener : listeners_) listener->stop();
    for (const auto& connection : connections_) connection->drain();
    streams_.drain();
    end_if_idle();
  });
}

void Worker::stop() {
  loop_.post([this] {
    draining_ = true;
    for (const auto& listener : listeners_) listener->stop();
    for (const auto& connection : connections_) connection->abort();
    streams_.abort();
    resolver_.cancel();
    end_if_idle();
  });
}

void Worker::end_if_idle() {
  if (!draining_ || !connections_.empty() || !streams_.idle()) return;
  pool_.clear();
  h2_pool_.clear();
  resolver_.cancel();
  loop_.stop_when_idle();
}

}  // namespace gateway::proxy
