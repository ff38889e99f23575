#include "net/listener.h"

#include "net/hinted_read.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/log.h"

namespace gateway::net {
namespace asio = boost::asio;
using boost::system::error_code;

namespace {

Error failed(const std::string& doing) { return Error{error_code(errno, boost::system::system_category()), Origin::gateway, doing}; }

void set_ipv6_only(int socket, const SocketAddress& address, Ipv6Only choice) {
  const int on = choice == Ipv6Only::yes ? 1 : 0;
  if (address.family() == AF_INET6) ::setsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
}

// A burst must not starve the connections already open.
constexpr int accepts_per_wakeup = 64;

}  // namespace

ListeningSocket::~ListeningSocket() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<ListeningSocket> ListeningSocket::open(const SocketAddress& address, int backlog, Ipv6Only ipv6_only) {
  const std::string doing = "listening on " + address.to_string();
  ListeningSocket socket(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.descriptor_ < 0) return failed(doing);
  const int on = 1;
  if (address.family() == AF_UNIX) {
    // A socket file nobody answers on is left over from a crash; one that answers is somebody's.
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool alive = probe >= 0 && ::connect(probe, reinterpret_cast<const sockaddr*>(&address.storage), address.size) == 0;
    if (probe >= 0) ::close(probe);
    if (!alive) {
      const char* path = reinterpret_cast<const sockaddr_un&>(address.storage).sun_path;
      struct stat file {};
      if (::lstat(path, &file) == 0 && S_ISSOCK(file.st_mode)) ::unlink(path);
    }
  } else {
    ::setsockopt(socket.descriptor_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::setsockopt(socket.descriptor_, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) return failed(doing);
    // Accepted sockets inherit these.
    ::setsockopt(socket.descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if constexpr (!on_io_uring) ask_for_hints(socket.descriptor_);
    set_ipv6_only(socket.descriptor_, address, ipv6_only);
  }
  if (::bind(socket.descriptor_, reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0) return failed(doing);
  if (::listen(socket.descriptor_, backlog) != 0) return failed(doing);
  return socket;
}

Result<ListeningSocket> ListeningSocket::open_datagram(const SocketAddress& address, Ipv6Only ipv6_only) {
  const std::string doing = "receiving datagrams at " + address.to_string();
  ListeningSocket socket(::socket(address.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.descriptor_ < 0) return failed(doing);
  const int on = 1;
  if (::setsockopt(socket.descriptor_, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) return failed(doing);
  set_ipv6_only(socket.descriptor_, address, ipv6_only);
  // Which of its addresses a datagram was sent to: the answer has to come from there.
  const bool v4 = address.family() == AF_INET;
  if (::setsockopt(socket.descriptor_, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_PKTINFO : IPV6_RECVPKTINFO, &on, sizeof on) != 0) return failed(doing);
  if (::bind(socket.descriptor_, reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0) return failed(doing);
  return socket;
}

void ListeningSocket::keep_alive(const KeepAlive& how) const noexcept {
  const int on = how.on ? 1 : 0;
  ::setsockopt(descriptor_, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  const auto set = [this](int option, int value) {
    if (value > 0) ::setsockopt(descriptor_, IPPROTO_TCP, option, &value, sizeof value);
  };
  set(TCP_KEEPIDLE, static_cast<int>(how.idle.count()));
  set(TCP_KEEPINTVL, static_cast<int>(how.interval.count()));
  set(TCP_KEEPCNT, how.count);
}

Result<ListeningSocket> ListeningSocket::duplicate() const {
  ListeningSocket copy(::fcntl(descriptor_, F_DUPFD_CLOEXEC, 0));
  if (copy.descriptor_ < 0) return failed("sharing a listening socket");
  return copy;
}

SocketAddress ListeningSocket::local_address() const {
  SocketAddress address;
  address.size = sizeof address.storage;
  ::getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address.storage), &address.size);
  return address;
}

Listener::Listener(Loop& loop, ListeningSocket socket, Accepted accepted)
    : local_(socket.local_address()), socket_(loop.io()), pause_(loop.io()), accepted_(std::move(accepted)) {
  socket_.assign(socket.release());
}

void Listener::start() { wait(); }

void Listener::stop() {
  stopped_ = true;
  pause_.cancel();
  error_code ignored;
  if (waiting_) {
    socket_.cancel(ignored);
  } else {
    socket_.close(ignored);
  }
}

void Listener::wait() {
  waiting_ = true;
  socket_.async_wait(Descriptor::wait_read, [this](const error_code& error) {
    waiting_ = false;
    if (stopped_) return stop();
    if (!error) accept_some();
  });
}

void Listener::accept_some() {
  for (int i = 0; i < accepts_per_wakeup && !stopped_; ++i) {
    SocketAddress peer;
    peer.size = sizeof peer.storage;
    const int descriptor = ::accept4(socket_.native_handle(), reinterpret_cast<sockaddr*>(&peer.storage), &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor >= 0) {
      accepted_(descriptor, peer);
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) break;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) return pause(errno);
    // Anything else is about the one connection that did not come (ECONNABORTED, EPROTO, EINTR).
  }
  if (!stopped_) wait();
}

// Waiting for readiness would spin: the connection that cannot be accepted stays in the queue.
void Listener::pause(int error) {
  log::error("accept on {} failed: {}; pausing", local_.to_string(), std::strerror(error));
  pause_.expires_after(std::chrono::milliseconds(200));
  pause_.async_wait([this](const error_code& cancelled) {
    if (!cancelled && !stopped_) accept_some();
  });
}

}  // namespace gateway::net
