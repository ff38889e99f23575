#include "net/stream.h"

#include "net/hinted_read.h"
#include "net/system_call.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cassert>
#include <cerrno>
#include <cstring>

namespace gateway::net {
namespace asio = boost::asio;
using boost::system::error_code;

namespace {

// Late enough that a busy connection costs few system calls more.
constexpr std::chrono::milliseconds second_look_after{200};

}  // namespace

Stream::Stream(Loop& loop, std::size_t block_size)
    : loop_(loop),
      socket_(loop.io()),
      read_(loop, socket_),
      write_(loop, socket_),
      block_size_(block_size),
      deadline_(loop.deadlines(), &Stream::expired, this),
      write_deadline_(loop.deadlines(), &Stream::expired, this),
      second_look_(
          loop.deadlines(), [](void* stream) { static_cast<Stream*>(stream)->look_for_reset(); }, this) {}

Stream::~Stream() { assert(!reading_ && read_.quiet()); }

void Stream::expired(void* owner) noexcept {
  auto& stream = *static_cast<Stream*>(owner);
  stream.timed_out_ = true;
  stream.end_waits();
}

error_code Stream::explain(const error_code& error) const noexcept {
  if (error == asio::error::operation_aborted && timed_out_) return asio::error::timed_out;
  return error;
}

void Stream::arm() {
  if (reading_ || ended_ || error_ || cancelled_) return;
  if (!block_) {
    block_ = loop_.blocks().take(block_size_);
    begin_ = end_ = 0;
  } else if (begin_ == end_) {
    begin_ = end_ = 0;
  } else if (end_ == block_.size() && begin_ > 0) {
    std::memmove(block_.data(), block_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == block_.size()) return;
  if (layer_ && layer_->holds_input() && read_through_layer(true)) return;
  if (const std::size_t bytes = read_.take(block_.data() + end_, block_.size() - end_); bytes > 0) {
    end_ += bytes;
    return;
  }
  reading_ = true;
  if (read_.misses_resets()) second_look_.set(second_look_after);
  start_read();
}

void Stream::start_read() {
  if constexpr (on_io_uring) {
    if (layer_) {
      const auto look = [](void* owner, const error_code& error, std::size_t) {
        auto& stream = *static_cast<Stream*>(owner);
        if (error) return stream.on_read(error, 0);
        stream.read_through_layer(false);
      };
      return read_.wait(Layer::State::wait_to_read, {look, this});
    }
  }
  read_.receive(block_.data() + end_, block_.size() - end_, layer_.get(), whole_read());
}

Completion Stream::whole_read() noexcept {
  return {[](void* stream, const error_code& error, std::size_t bytes) { static_cast<Stream*>(stream)->on_read(error, bytes); }, this};
}

// `at_once`: nobody has been told that a read goes on. False: there was nothing after all.
bool Stream::read_through_layer(bool at_once) {
  const Layer::Moved moved = layer_->read(block_.data() + end_, block_.size() - end_);
  const auto report = [&](const error_code& error, std::size_t bytes) {
    if (!at_once) return on_read(error, bytes);
    end_ += bytes;
    if (error == asio::error::eof) {
      ended_ = true;
    } else if (error) {
      error_ = error;
    }
  };
  switch (moved.state) {
    case Layer::State::moved: report({}, moved.bytes); return true;
    case Layer::State::ended: report(asio::error::eof, 0); return true;
    case Layer::State::failed: report(layer_->error(), 0); return true;
    case Layer::State::wait_to_read:
    case Layer::State::wait_to_write: break;
  }
  if (at_once) return false;
  // A cancellation may have come when the wait for this part of a record had ended already.
  if (cancelled_ || interrupted_) {
    on_read(asio::error::operation_aborted, 0);
  } else {
    start_read();
  }
  return false;
}

// The kernel's hint of what is left to read (HintedBuffer; the multishot receives of newer kernels go by it too) tells of the
// end of a stream but not of a reset. One that came right behind the last bytes raised no event of its own, and the read that
// waits now would wait for ever.
void Stream::look_for_reset() noexcept {
  if (!reading_) return;
  pollfd socket{socket_.native_handle(), 0, 0};
  int unread = 0;
  if (::poll(&socket, 1, 0) <= 0 || (socket.revents & (POLLERR | POLLHUP)) == 0) return;
  // Bytes that have come since are an event; the read ends by itself.
  if (::ioctl(socket.fd, FIONREAD, &unread) == 0 && unread > 0) return;
  reset_ = true;
  end_waits();
}

void Stream::on_read(const error_code& error, std::size_t bytes) {
  reading_ = false;
  end_ += bytes;
  if (error == asio::error::eof) {
    ended_ = true;
  } else if (error == asio::error::operation_aborted && reset_ && !timed_out_) {
    error_ = asio::error::connection_reset;
  } else if (error == asio::error::operation_aborted && interrupted_ && !timed_out_) {
    // Only the wait was given up, not the connection.
  } else if (error) {
    error_ = explain(error);
  }
  if (waiting_) {
    std::exchange(waiting_, nullptr).resume();
  } else if ((ended_ || error_) && observer_ != nullptr) {
    observer_->stream_ended();
  }
}

bool Stream::More::await_suspend(std::coroutine_handle<> waiting) {
  stream_.arm();
  if (!stream_.reading_) return false;  // no room: the caller sees that nothing was added
  stream_.waiting_ = waiting;
  return true;
}

Result<bool> Stream::More::await_resume() {
  if (stream_.error_) return Error{stream_.error_, Origin::gateway, "reading"};
  if (std::exchange(stream_.interrupted_, false) || stream_.cancelled_) return Error{asio::error::operation_aborted, Origin::gateway, "reading"};
  return !stream_.ended_;
}

Block Stream::take_block(std::size_t bytes) {
  assert(!reading_);
  const std::size_t rest = end_ - begin_ - bytes;
  Block fresh;
  if (rest > 0) {
    fresh = loop_.blocks().take(std::max(rest, block_size_));
    std::memcpy(fresh.data(), block_.data() + begin_ + bytes, rest);
  }
  begin_ = 0;
  end_ = rest;
  return std::exchange(block_, std::move(fresh));
}

void Stream::reserve(std::size_t capacity) {
  assert(!reading_);
  if (block_ && block_.size() >= capacity) {
    if (begin_ > 0) {
      std::memmove(block_.data(), block_.data() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    return;
  }
  Block larger = loop_.blocks().take(capacity);
  if (end_ > begin_) std::memcpy(larger.data(), block_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  block_ = std::move(larger);
}

void Stream::release_block() noexcept {
  if (reading_ || begin_ != end_) return;
  block_ = Block();
  begin_ = end_ = 0;
}

Stream::Write::Write(Stream& stream, const Pieces& pieces) noexcept : stream_(stream) {
  for (const std::string_view piece : pieces) {
    if (piece.empty()) continue;
    pieces_[count_++] = {const_cast<char*>(piece.data()), piece.size()};
    left_ += piece.size();
  }
}

void Stream::Write::advance(std::size_t bytes) noexcept {
  left_ -= bytes;
  while (first_ < count_) {
    iovec& piece = pieces_[first_];
    const std::size_t part = std::min(bytes, piece.iov_len);
    piece.iov_base = static_cast<char*>(piece.iov_base) + part;
    piece.iov_len -= part;
    bytes -= part;
    if (piece.iov_len > 0) break;
    ++first_;
  }
}

const msghdr& Stream::Write::message() noexcept {
  message_ = {};
  message_.msg_iov = &pieces_[first_];
  message_.msg_iovlen = count_ - first_;
  return message_;
}

// A socket buffer nearly always has room, so trying first saves a trip through the loop. On io_uring the
// trip is the point: many writes leave with one system call.
bool Stream::Write::await_ready() noexcept {
  if (left_ == 0) return true;
  if (stream_.cancelled_) {
    error_ = stream_.explain(asio::error::operation_aborted);
    return true;
  }
  if (stream_.layer_) return write_through_layer();
  if constexpr (on_io_uring) return false;
  return write_to_socket();
}

// True: it is over, all is written or an error was met.
bool Stream::Write::write_through_layer() noexcept {
  while (left_ > 0) {
    Layer::Pieces pieces;
    std::transform(pieces_.begin() + first_, pieces_.begin() + count_, pieces.begin(),
                   [](const iovec& piece) { return std::string_view(static_cast<const char*>(piece.iov_base), piece.iov_len); });
    const Layer::Moved moved = stream_.layer_->write(pieces);
    if (moved.state == Layer::State::failed || moved.state == Layer::State::ended) {
      error_ = stream_.layer_->error();
      return true;
    }
    reads_first_ = moved.state == Layer::State::wait_to_read;
    if (moved.state != Layer::State::moved) return false;
    advance(moved.bytes);
  }
  return true;
}

bool Stream::Write::write_to_socket() noexcept {
  while (left_ > 0) {
    // One piece needs no header that the kernel would have to copy.
    const int socket = stream_.socket_.native_handle();
    const iovec& piece = pieces_[first_];
    const ssize_t sent = count_ - first_ == 1 ? send_now(socket, piece.iov_base, piece.iov_len) : send_now(socket, message());
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
      error_ = error_code(errno, boost::system::system_category());
      return true;
    }
    advance(static_cast<std::size_t>(sent));
  }
  return true;
}

void Stream::Write::await_suspend(std::coroutine_handle<> waiting) {
  waiting_ = waiting;
  wait();
}

void Stream::Write::wait() {
  if (stream_.write_timeout_.count() > 0) stream_.write_deadline_.set(stream_.write_timeout_);
  const Completion then{[](void* write, const error_code& error, std::size_t bytes) { static_cast<Write*>(write)->go_on(error, bytes); }, this};
  if (!stream_.layer_) return stream_.write_.send(message(), then);
  stream_.write_.wait(reads_first_ ? Layer::State::wait_to_read : Layer::State::wait_to_write, then);
}

void Stream::Write::go_on(const error_code& error, std::size_t bytes) {
  advance(bytes);
  if (error) error_ = stream_.explain(error);
  if (!error_ && left_ > 0 && stream_.cancelled_) error_ = asio::error::operation_aborted;
  if (!error_ && left_ > 0 && !(stream_.layer_ ? write_through_layer() : write_to_socket())) return wait();
  stream_.write_deadline_.clear();
  waiting_.resume();
}

Stream::Open::Open(Stream& stream, std::unique_ptr<Layer> layer) noexcept : stream_(stream) {
  assert(!stream.reading_ && stream.read_.quiet() && stream.data().empty());
  stream.layer_ = std::move(layer);
}

bool Stream::Open::await_ready() noexcept {
  // Time may have run out while the last wait had ended already.
  if (stream_.cancelled_ || stream_.timed_out_) {
    error_ = stream_.explain(asio::error::operation_aborted);
    return true;
  }
  state_ = stream_.layer_->open().state;
  if (state_ == Layer::State::failed) error_ = stream_.layer_->error();
  if (state_ == Layer::State::ended) error_ = asio::error::eof;
  return state_ != Layer::State::wait_to_read && state_ != Layer::State::wait_to_write;
}

void Stream::Open::await_suspend(std::coroutine_handle<> waiting) {
  waiting_ = waiting;
  stream_.write_.wait(state_, {[](void* open, const error_code& error, std::size_t) { static_cast<Open*>(open)->go_on(error); }, this});
}

void Stream::Open::go_on(const error_code& error) {
  if (error) error_ = stream_.explain(error);
  if (error_ || await_ready()) return waiting_.resume();
  await_suspend(waiting_);
}

Status Stream::Open::await_resume() {
  if (error_) {
    stream_.layer_.reset();
    return Error{error_, Origin::gateway, "opening TLS"};
  }
  return Status{};
}

Status Stream::Write::await_resume() {
  if (error_) return Error{error_, Origin::gateway, "writing"};
  return Status{};
}

bool Stream::Connect::await_suspend(std::coroutine_handle<> waiting) {
  waiting_ = waiting;
  const asio::generic::stream_protocol::endpoint endpoint(&peer_.storage, peer_.size, peer_.family() == AF_UNIX ? 0 : IPPROTO_TCP);
  stream_.socket_.open(endpoint.protocol(), error_);
  if (error_) return false;
  if (peer_.family() != AF_UNIX) {
    stream_.socket_.set_option(asio::ip::tcp::no_delay(true), error_);
    if constexpr (!on_io_uring) ask_for_hints(stream_.socket_.native_handle());
  }
  stream_.socket_.async_connect(endpoint, [this](const error_code& error) {
    error_ = stream_.explain(error);
    waiting_.resume();
  });
  return true;
}

Status Stream::Connect::await_resume() {
  if (error_) return Error{error_, Origin::upstream, "connecting"};
  return Status{};
}

void Stream::cancel() noexcept {
  cancelled_ = true;
  end_waits();
}

void Stream::end_waits() noexcept {
  error_code ignored;
  socket_.cancel(ignored);  // a connect
  if constexpr (on_io_uring) {
    read_.cancel();
    write_.cancel();
  }
}

void Stream::interrupt() noexcept {
  if (!reading_ || !waiting_) return;
  interrupted_ = true;
  read_.cancel();
}

void Stream::shutdown_send() noexcept {
  error_code ignored;
  if (layer_) layer_->say_end();
  socket_.shutdown(Socket::shutdown_send, ignored);
}

bool Stream::Finish::await_ready() noexcept {
  stream_.observer_ = nullptr;
  stream_.deadline_.clear();
  stream_.write_deadline_.clear();
  stream_.second_look_.clear();
  if (stream_.layer_) stream_.layer_->say_end();
  if (stream_.reading_) {
    stream_.cancel();
  } else if (!stream_.read_.quiet()) {
    stream_.reading_ = true;
    stream_.read_.let_go(stream_.whole_read());
  }
  return !stream_.reading_;
}

void Stream::Finish::await_resume() const noexcept {
  error_code ignored;
  stream_.socket_.close(ignored);
}

}  // namespace gateway::net
