#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace gateway::net {

// send(2), sendmsg(2) and recvmsg(2), which do not wait, as the C library has them, but without its points of cancellation: with several
// threads those cost two locked instructions a call, and nobody cancels threads here. Errors: as there, in errno.

constexpr int send_flags = MSG_NOSIGNAL | MSG_DONTWAIT;

inline ssize_t send_now(int socket, const void* data, std::size_t size) noexcept { return ::syscall(SYS_sendto, socket, data, size, send_flags, nullptr, 0); }
inline ssize_t send_now(int socket, const msghdr& message) noexcept { return ::syscall(SYS_sendmsg, socket, &message, send_flags); }

/// `left`: how much more there is behind what was read; one, when only the end of the stream is left. Where the kernel does not
/// tell (it does on TCP sockets that ask_for_hints), -1.
inline ssize_t receive_now(int socket, void* into, std::size_t room, int flags, int& left) noexcept {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof left)];
  iovec vector{into, room};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t bytes = 0;
  do {
    bytes = ::syscall(SYS_recvmsg, socket, &message, flags | MSG_DONTWAIT);
  } while (bytes < 0 && errno == EINTR);
  left = -1;
  const cmsghdr* hint = bytes > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
  if (hint != nullptr && hint->cmsg_level == IPPROTO_TCP && hint->cmsg_type == TCP_CM_INQ) std::memcpy(&left, CMSG_DATA(hint), sizeof left);
  return bytes;
}

}  // namespace gateway::net
