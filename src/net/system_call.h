#pragma once

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>

namespace gateway::net {

// send(2), sendmsg(2) and recvmsg(2) as the C library has them, but without its points of cancellation: with several
// threads those cost two locked instructions a call, and nobody cancels threads here. Errors: as there, in errno.

inline ssize_t send_now(int socket, const void* data, std::size_t size, int flags) noexcept {
  return ::syscall(SYS_sendto, socket, data, size, flags, nullptr, 0);
}
inline ssize_t send_now(int socket, const msghdr& message, int flags) noexcept { return ::syscall(SYS_sendmsg, socket, &message, flags); }
inline ssize_t receive_now(int socket, msghdr& message, int flags) noexcept { return ::syscall(SYS_recvmsg, socket, &message, flags); }

}  // namespace gateway::net
