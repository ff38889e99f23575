#include "app/data_plane.h"

#include <algorithm>

#include "base/log.h"

namespace gateway::app {

namespace {

Result<net::ListeningSocket> open_socket(const Listen& listen, const net::SocketAddress& address) {
  if (listen.udp) return net::ListeningSocket::open_datagram(address, listen.ipv6_only);
  return net::ListeningSocket::open(address, listen.backlog, listen.ipv6_only);
}

}  // namespace

DataPlane::DataPlane(DataPathOptions options, unsigned workers, std::unique_ptr<telemetry::LogFile> access_log, std::unique_ptr<telemetry::LogFile> stream_log)
    : options_(std::move(options)), access_log_(std::move(access_log)), stream_log_(std::move(stream_log)) {
  for (unsigned i = 0; i < workers; ++i) workers_.push_back(std::make_unique<proxy::Worker>(options_.proxy, options_.dns, *access_log_, *stream_log_));
}

DataPlane::~DataPlane() {
  for (std::thread& thread : threads_) thread.join();
}

Status DataPlane::listen(const std::vector<Listen>& addresses, const std::vector<Listen>& streams, const DataPlane* before) {
  // As Kong's listeners of one kind share a server block: who speaks HTTP/2 at one of them does at all.
  const bool http2 = std::any_of(addresses.begin(), addresses.end(), [](const Listen& each) { return each.http2; });
  for (const auto& worker : workers_) {
    const Status prepared = worker->prepare_tls();
    if (!prepared) return prepared.error();
  }
  for (const Listen& each : addresses) {
    const proxy::Listening how{{}, each.tls, http2, each.proxy_protocol};
    const Status served = serve(each, "proxy", how, before);
    if (!served) return served.error();
  }
  for (const Listen& each : streams) {
    const proxy::stream::Listening how{{}, each.tls, each.proxy_protocol, each.udp};
    const Status served = serve(each, "stream", how, before);
    if (!served) return served.error();
  }
  return {};
}

template <class Listening>
Status DataPlane::serve(const Listen& listen, const char* what, const Listening& how, const DataPlane* before) {
  Place place{listen.address, listen.udp, what, {}};
  const Status opened = open(place, listen, before);
  if (!opened) return opened.error();
  // A worker may take more than one socket of an address: none that was open before is left unserved.
  for (std::size_t i = 0; i < place.sockets.size(); ++i) {
    if (listen.keep_alive) place.sockets[i].keep_alive(*listen.keep_alive);
    Result<net::ListeningSocket> copy = place.sockets[i].duplicate();
    if (!copy) return copy.error();
    workers_[i % workers_.size()]->listen(std::move(*copy), how);
  }
  places_.push_back(std::move(place));
  return {};
}

Status DataPlane::open(Place& place, const Listen& listen, const DataPlane* before) const {
  if (before != nullptr) {
    const auto same =
        std::find_if(before->places_.begin(), before->places_.end(), [&](const Place& each) { return each.asked == listen.address && each.udp == listen.udp; });
    if (same != before->places_.end()) {
      for (const net::ListeningSocket& socket : same->sockets) {
        Result<net::ListeningSocket> copy = socket.duplicate();
        if (!copy) return copy.error();
        place.sockets.push_back(std::move(*copy));
      }
    }
  }
  const bool is_unix = listen.address.family() == AF_UNIX;
  while (place.sockets.empty() || (!is_unix && place.sockets.size() < workers_.size())) {
    // Port 0 is any port for the first socket, and that one for the others.
    const net::SocketAddress address = place.sockets.empty() ? listen.address : place.sockets.front().local_address();
    Result<net::ListeningSocket> socket = open_socket(listen, address);
    if (!socket) return socket.error();
    place.sockets.push_back(std::move(*socket));
  }
  // A unix socket cannot be bound twice: all workers accept on the one.
  while (is_unix && place.sockets.size() < workers_.size()) {
    Result<net::ListeningSocket> copy = place.sockets.front().duplicate();
    if (!copy) return copy.error();
    place.sockets.push_back(std::move(*copy));
  }
  return {};
}

void DataPlane::start(std::function<void()> ended) {
  running_ = static_cast<unsigned>(workers_.size());
  for (const auto& worker : workers_) {
    threads_.emplace_back([&worker = *worker, ended] {
      worker.run();
      ended();
    });
  }
}

void DataPlane::drain(std::chrono::milliseconds longest) {
  if (longest.count() > 0) end_by_ = Steady::now() + longest;
  // These copies would keep the ports open, and catch connections nobody accepts.
  places_.clear();
  for (const auto& worker : workers_) worker->drain();
}

void DataPlane::set_ticket_keys(const tls::TicketKeys& keys) {
  for (const auto& worker : workers_) worker->set_ticket_keys(keys);
}

void DataPlane::keep_time() {
  if (Steady::now() < end_by_) return;
  log::notice("requests in flight have had their time: they are ended");
  stop();
}

void DataPlane::stop() {
  end_by_ = Steady::time_point::max();
  places_.clear();
  for (const auto& worker : workers_) worker->stop();
}

void DataPlane::reopen_log() {
  for (telemetry::LogFile* file : {access_log_.get(), stream_log_.get()}) {
    const Status reopened = file->reopen();
    if (!reopened) log::error("{}", reopened.error().to_string());
  }
}

std::vector<std::string> DataPlane::places() const {
  std::vector<std::string> out;
  for (const Place& place : places_) {
    out.push_back(std::string(place.what) + " listens at " + place.sockets.front().local_address().to_string() + (place.udp ? " (udp)" : ""));
  }
  return out;
}

}  // namespace gateway::app
