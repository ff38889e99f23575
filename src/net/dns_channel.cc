#include "net/dns_channel.h"

#include <fcntl.h>

#include <boost/asio/error.hpp>
#include <utility>

#include "base/log.h"
#include "net/dns_error.h"
#include "net/ip.h"

namespace gateway::net {
namespace {

constexpr int class_internet = 1;

std::string server_list(const std::vector<std::string>& servers) {
  std::string list;
  for (const std::string& server : servers) {
    if (!list.empty()) list += ',';
    const std::optional<IpAddress> ip = IpAddress::parse(server);
    list += ip && !ip->is_v4() ? '[' + server + ']' : server;
  }
  return list;
}

int init_library() {
  // Static initialisation is what makes it once, whatever the thread.
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  return status;
}

}  // namespace

DnsChannel::Socket::Socket(boost::asio::io_context& io, int descriptor) : number(descriptor), watched(io) {
  // Unwatched, it times out.
  boost::system::error_code error;
  watched.assign(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0), error);
  if (error) log::warn("watching a DNS socket: {}", error.message());
}

DnsChannel::DnsChannel(Loop& loop, const Options& options, Waiting*& ready, std::function<void()> answered)
    : loop_(loop), ready_(ready), answered_(std::move(answered)), timer_(loop.io()) {
  open(options);
}

DnsChannel::~DnsChannel() { close(); }

void DnsChannel::open(const Options& options) {
  std::string path = options.resolv_conf;
  ares_options settings{};
  settings.flags = ARES_FLAG_NOALIASES;
  settings.timeout = static_cast<int>(options.timeout.count());
  settings.tries = static_cast<int>(options.attempts);
  settings.resolvconf_path = path.data();
  settings.sock_state_cb = &DnsChannel::on_socket;
  settings.sock_state_cb_data = this;
  int status = init_library();
  if (status == ARES_SUCCESS) {
    status = ares_init_options(&channel_, &settings, ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_RESOLVCONF | ARES_OPT_SOCK_STATE_CB);
  }
  if (status == ARES_SUCCESS && !options.servers.empty()) status = ares_set_servers_ports_csv(channel_, server_list(options.servers).c_str());
  if (status == ARES_SUCCESS) return;
  broken_ = dns_error(status);
  log::error("setting up DNS: {}", ares_strerror(status));
}

void DnsChannel::close() noexcept {
  answered_ = nullptr;
  if (channel_ != nullptr) ares_destroy(std::exchange(channel_, nullptr));
  while (!sockets_.empty()) drop(sockets_.begin());
  timer_.cancel();
}

void DnsChannel::cancel() {
  if (channel_ == nullptr) return;
  ares_cancel(channel_);
  arm_timer();
}

// ---- questions ----

void DnsChannel::ask(Question& question) {
  // The answer may come within this call, say when the name is malformed.
  if (question.name.ends_with('.')) {
    ares_query(channel_, question.name.c_str(), class_internet, static_cast<int>(question.type), &DnsChannel::on_answer, &question);
  } else {
    ares_search(channel_, question.name.c_str(), class_internet, static_cast<int>(question.type), &DnsChannel::on_answer, &question);
  }
  arm_timer();
}

void DnsChannel::on_answer(void* argument, int status, int /*timeouts*/, unsigned char* answer, int size) {
  if (status == ARES_EDESTRUCTION) return;  // its coroutine may be gone
  Question& question = *static_cast<Question*>(argument);
  if (status == ARES_SUCCESS) {
    std::optional<DnsMessage> message = DnsMessage::parse(answer, static_cast<std::size_t>(size));
    if (message) question.message = std::move(*message);
    if (!message) status = ARES_EBADRESP;
  }
  if (status != ARES_SUCCESS) question.error = dns_error(status);
  question.link_to(question.channel.ready_);
}

// ---- sockets and time ----

void DnsChannel::on_socket(void* argument, ares_socket_t descriptor, int readable, int writable) {
  DnsChannel& self = *static_cast<DnsChannel*>(argument);
  if (readable == 0 && writable == 0) {
    self.drop(self.sockets_.find(descriptor));
    return;
  }
  std::shared_ptr<Socket>& socket = self.sockets_[descriptor];
  if (!socket) socket = std::make_shared<Socket>(self.loop_.io(), descriptor);
  socket->wants_read = readable != 0;
  socket->wants_write = writable != 0;
  self.watch(socket);
}

void DnsChannel::watch(const std::shared_ptr<Socket>& socket) {
  const auto wait_for = [this, &socket](Descriptor::wait_type what, bool reading) {
    socket->watched.async_wait(what, [weak = weak_from_this(), socket, reading](const boost::system::error_code& error) {
      if (const std::shared_ptr<DnsChannel> self = weak.lock()) self->ready(socket, reading, error);
    });
  };
  if (socket->wants_read && !socket->reading) {
    socket->reading = true;
    wait_for(Descriptor::wait_read, true);
  }
  if (socket->wants_write && !socket->writing) {
    socket->writing = true;
    wait_for(Descriptor::wait_write, false);
  }
}

void DnsChannel::ready(const std::shared_ptr<Socket>& socket, bool reading, const boost::system::error_code& error) {
  // Closed: its number may be another socket's by now.
  if (socket->closed || error == boost::asio::error::operation_aborted) return;
  (reading ? socket->reading : socket->writing) = false;
  const bool wanted = reading ? socket->wants_read : socket->wants_write;
  if (wanted) process(reading ? socket->number : ARES_SOCKET_BAD, reading ? ARES_SOCKET_BAD : socket->number);
  if (!socket->closed) watch(socket);
  if (answered_) answered_();
}

void DnsChannel::drop(Sockets::iterator closed) {
  if (closed == sockets_.end()) return;
  boost::system::error_code ignored;
  closed->second->closed = true;
  closed->second->watched.cancel(ignored);
  sockets_.erase(closed);
}

void DnsChannel::process(ares_socket_t readable, ares_socket_t writable) {
  ares_process_fd(channel_, readable, writable);
  arm_timer();
}

void DnsChannel::arm_timer() {
  timeval room{};
  const timeval* next = ares_timeout(channel_, nullptr, &room);
  if (next == nullptr) {
    timer_.cancel();
    return;
  }
  // One millisecond more, or rounding would wake us just before c-ares sees the time as come.
  timer_.expires_after(std::chrono::seconds(next->tv_sec) + std::chrono::microseconds(next->tv_usec) + std::chrono::milliseconds(1));
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const std::shared_ptr<DnsChannel> self = weak.lock();
    if (error || !self || self->channel_ == nullptr) return;
    self->process(ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    if (self->answered_) self->answered_();
  });
}

}  // namespace gateway::net
