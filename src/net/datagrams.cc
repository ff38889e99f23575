#include "net/datagrams.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "net/ip.h"

namespace gateway::net {
namespace {

using boost::system::error_code;

// A burst must not starve the others on this loop.
constexpr int datagrams_per_wakeup = 64;

Error failed(const char* doing) { return Error{error_code(errno, boost::system::system_category()), Origin::upstream, doing}; }

/// Room for the address that a datagram was sent to, or shall come from.
union Control {
  char bytes[CMSG_SPACE(sizeof(in6_pktinfo))];
  cmsghdr align;
};

SocketAddress destination_of(msghdr& message, const SocketAddress& bound) {
  for (cmsghdr* each = CMSG_FIRSTHDR(&message); each != nullptr; each = CMSG_NXTHDR(&message, each)) {
    SocketAddress local = bound;
    if (each->cmsg_level == IPPROTO_IP && each->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(each), sizeof info);
      // Not ipi_addr: nothing can be sent from a broadcast address.
      reinterpret_cast<sockaddr_in&>(local.storage).sin_addr = info.ipi_spec_dst;
      return local;
    }
    if (each->cmsg_level == IPPROTO_IPV6 && each->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(each), sizeof info);
      auto& address = reinterpret_cast<sockaddr_in6&>(local.storage);
      address.sin6_addr = info.ipi6_addr;
      if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) address.sin6_scope_id = info.ipi6_ifindex;
      return local;
    }
  }
  return bound;
}

void set_source(msghdr& message, Control& control, const SocketAddress& local) {
  const bool v4 = local.family() == AF_INET;
  message.msg_control = control.bytes;
  message.msg_controllen = v4 ? CMSG_SPACE(sizeof(in_pktinfo)) : CMSG_SPACE(sizeof(in6_pktinfo));
  std::memset(control.bytes, 0, sizeof control.bytes);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
  header->cmsg_type = v4 ? IP_PKTINFO : IPV6_PKTINFO;
  header->cmsg_len = v4 ? CMSG_LEN(sizeof(in_pktinfo)) : CMSG_LEN(sizeof(in6_pktinfo));
  if (v4) {
    in_pktinfo info{};
    info.ipi_spec_dst = reinterpret_cast<const sockaddr_in&>(local.storage).sin_addr;
    std::memcpy(CMSG_DATA(header), &info, sizeof info);
  } else {
    const auto& address = reinterpret_cast<const sockaddr_in6&>(local.storage);
    in6_pktinfo info{};
    info.ipi6_addr = address.sin6_addr;
    info.ipi6_ifindex = address.sin6_scope_id;
    std::memcpy(CMSG_DATA(header), &info, sizeof info);
  }
}

}  // namespace

DatagramListener::DatagramListener(Loop& loop, ListeningSocket socket, Received received)
    : loop_(loop), local_(socket.local_address()), socket_(loop.io()), received_(std::move(received)) {
  socket_.assign(socket.release());
}

void DatagramListener::start() { wait(); }

void DatagramListener::stop() {
  stopped_ = true;
  error_code ignored;
  if (waiting_) socket_.cancel(ignored);
}

void DatagramListener::wait() {
  waiting_ = true;
  socket_.async_wait(Descriptor::wait_read, [this](const error_code& error) {
    waiting_ = false;
    if (!error && !stopped_) receive_some();
  });
}

void DatagramListener::receive_some() {
  const Block block = loop_.blocks().take(max_datagram_bytes);
  for (int i = 0; i < datagrams_per_wakeup && !stopped_; ++i) {
    SocketAddress peer;
    Control control;
    iovec vector{block.data(), block.size()};
    msghdr message{};
    message.msg_name = &peer.storage;
    message.msg_namelen = sizeof peer.storage;
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    const ssize_t bytes = ::recvmsg(socket_.native_handle(), &message, MSG_DONTWAIT);
    if (bytes < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (bytes < 0) continue;  // of an answer that did not arrive: none of this socket's business
    peer.size = message.msg_namelen;
    received_({block.data(), static_cast<std::size_t>(bytes)}, peer, destination_of(message, local_));
  }
  if (!stopped_) wait();
}

bool DatagramListener::send(std::string_view bytes, const SocketAddress& peer, const SocketAddress& local) noexcept {
  Control control;
  iovec vector{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_name = const_cast<sockaddr_storage*>(&peer.storage);
  message.msg_namelen = peer.size;
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  set_source(message, control, local);
  return ::sendmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

Status DatagramSocket::connect(const SocketAddress& peer) {
  const int descriptor = ::socket(peer.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return failed("opening a UDP socket");
  if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&peer.storage), peer.size) != 0) {
    const Error error = failed("finding a way");
    ::close(descriptor);
    return error;
  }
  socket_.assign(descriptor);
  return {};
}

Status DatagramSocket::send(std::string_view bytes) noexcept {
  if (::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return {};
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) return {};
  return failed("sending");
}

Result<std::optional<std::size_t>> DatagramSocket::receive(char* into, std::size_t room) noexcept {
  const ssize_t bytes = ::recv(socket_.native_handle(), into, room, MSG_DONTWAIT);
  if (bytes >= 0) return std::optional<std::size_t>(static_cast<std::size_t>(bytes));
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return std::optional<std::size_t>();
  return failed("receiving");
}

void DatagramSocket::Readable::await_suspend(std::coroutine_handle<> waiting) {
  socket_.socket_.async_wait(Descriptor::wait_read, [waiting](const error_code&) { waiting.resume(); });
}

void DatagramSocket::cancel() noexcept {
  cancelled_ = true;
  error_code ignored;
  if (socket_.is_open()) socket_.cancel(ignored);
}

void DatagramSocket::close() noexcept {
  error_code ignored;
  socket_.close(ignored);
}

}  // namespace gateway::net
