#include "net/mailbox.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <boost/system/system_error.hpp>
#include <cerrno>
#include <cstdint>
#include <utility>

namespace gateway::net {

Mailbox::Mailbox(boost::asio::io_context& io) : bell_(io) {
  const int descriptor = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (descriptor < 0) throw boost::system::system_error(errno, boost::system::system_category(), "eventfd");
  bell_.assign(descriptor);
}

void Mailbox::put(std::function<void()> work) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = letters_.empty();
    letters_.push_back(std::move(work));
  }
  // Who finds letters lying there knows that the bell has been rung for them.
  if (!first) return;
  const std::uint64_t one = 1;
  // Fails only when the bell rings already.
  [[maybe_unused]] const ssize_t rung = ::write(bell_.native_handle(), &one, sizeof one);
}

void Mailbox::open() {
  open_ = true;
  wait();
}

void Mailbox::close() {
  open_ = false;
  boost::system::error_code ignored;
  bell_.cancel(ignored);
}

void Mailbox::wait() {
  bell_.async_wait(decltype(bell_)::wait_read, [this](const boost::system::error_code& error) {
    if (error || !open_) return;
    deliver();
    if (open_) wait();
  });
}

void Mailbox::deliver() {
  std::uint64_t rung = 0;
  [[maybe_unused]] const ssize_t read = ::read(bell_.native_handle(), &rung, sizeof rung);
  {
    const std::lock_guard lock(mutex_);
    delivering_.swap(letters_);
  }
  for (const auto& work : delivering_) work();
  delivering_.clear();
}

}  // namespace gateway::net
