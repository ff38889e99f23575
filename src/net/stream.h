#pragma once

#include <sys/uio.h>

#include <array>
#include <boost/asio/generic/stream_protocol.hpp>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "net/address.h"
#include "net/block_pool.h"
#include "net/deadline.h"
#include "net/layer.h"
#include "net/loop.h"
#include "net/operation.h"

namespace gateway::net {

/// A connected socket (TCP or unix) with its input buffer and its deadlines.
///
/// It reads ahead: `arm` starts a read that nobody waits for, which both brings the next message and tells
/// when the other side goes away. Its thread is the loop's. All waits end with timed_out when the deadline
/// passes and with operation_aborted after cancel(); a stream that timed out or was cancelled is only good
/// to be closed.
class Stream {
 public:
  using Socket = StreamSocket;

  /// Told that the other side ended or broke the connection while nobody was waiting to read.
  class Observer {
   public:
    virtual void stream_ended() = 0;

   protected:
    ~Observer() = default;
  };

  Stream(Loop& loop, std::size_t block_size);
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  /// Only when nothing is in flight: await finish() first.
  ~Stream();

  [[nodiscard]] Socket& socket() noexcept { return socket_; }
  [[nodiscard]] Loop& loop() noexcept { return loop_; }

  /// Opens a layer over the socket; all that is read and written goes through it from then on. Only when no read is in
  /// flight and nothing lies unread (take_early). Errors: the layer's, network, timed_out; there is no layer then.
  class Open {
   public:
    Open(Stream& stream, std::unique_ptr<Layer> layer) noexcept;
    bool await_ready() noexcept;
    void await_suspend(std::coroutine_handle<> waiting);
    Status await_resume();

   private:
    void go_on(const boost::system::error_code& error);
    Stream& stream_;
    Layer::State state_ = Layer::State::wait_to_read;
    boost::system::error_code error_;
    std::coroutine_handle<> waiting_;
  };
  [[nodiscard]] Open open(std::unique_ptr<Layer> layer) noexcept { return Open(*this, std::move(layer)); }
  [[nodiscard]] Layer* layer() const noexcept { return layer_.get(); }
  void observe(Observer* observer) noexcept { observer_ = observer; }

  // Input

  /// What has been read and not consumed. Valid until the next wait, take_block or reserve.
  [[nodiscard]] std::string_view data() const noexcept { return {block_.data() + begin_, end_ - begin_}; }
  void consume(std::size_t bytes) noexcept { begin_ += bytes; }
  /// The other side has sent its last byte (which data() may still hold).
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  [[nodiscard]] bool reading() const noexcept { return reading_; }
  /// Somebody waits for data (or for the end).
  [[nodiscard]] bool awaited() const noexcept { return waiting_ != nullptr; }
  /// data(), for those who rearrange it in place before they consume it.
  [[nodiscard]] char* bytes() noexcept { return block_.data() + begin_; }

  /// Starts reading ahead, unless that is going on already, the other side ended, or no room is left.
  void arm();
  /// The same, unless something lies here unread already: its block may be wanted at any time. Waiting may be long:
  /// a block that was made larger for a body is not kept for it.
  void read_ahead() {
    if (!data().empty()) return;
    release_block();
    arm();
  }

  /// Reading shall cost the kernel as little as it can where many small messages come. Never with a layer.
  void allow_multishot() noexcept {
    if (!layer_) read_.allow_multishot();
  }

  /// Gives away the block that holds the first `bytes` of data(), so that views into them stay valid;
  /// what follows them moves to a new block. Only when no read is in flight.
  Block take_block(std::size_t bytes);

  /// Makes room for `capacity` bytes of unconsumed data in all. Only when no read is in flight.
  void reserve(std::size_t capacity);

  /// Gives the block back when it is empty and nothing is in flight.
  void release_block() noexcept;

  /// Waits for more data. False: the other side has ended. Errors: network, timed_out.
  class More {
   public:
    explicit More(Stream& stream) noexcept : stream_(stream) {}
    bool await_ready() const noexcept { return stream_.ended_ || stream_.error_ || stream_.cancelled_; }
    bool await_suspend(std::coroutine_handle<> waiting);
    Result<bool> await_resume();

   private:
    Stream& stream_;
  };
  [[nodiscard]] More more() noexcept { return More(*this); }

  // Output

  static constexpr std::size_t max_pieces = Layer::max_pieces;

  /// Writes every byte of up to max_pieces pieces. Errors: network, timed_out.
  class Write {
   public:
    using Pieces = Layer::Pieces;
    Write(Stream& stream, const Pieces& pieces) noexcept;
    bool await_ready() noexcept;
    void await_suspend(std::coroutine_handle<> waiting);
    Status await_resume();

   private:
    void wait();
    void go_on(const boost::system::error_code& error, std::size_t bytes);
    void advance(std::size_t bytes) noexcept;
    const msghdr& message() noexcept;
    bool write_through_layer() noexcept;
    bool write_to_socket() noexcept;
    Stream& stream_;
    std::array<iovec, max_pieces> pieces_;
    std::size_t first_ = 0;  // of those that are left,
    std::size_t count_ = 0;  // and where they end
    msghdr message_;
    bool reads_first_ = false;  // the layer goes on only when the socket has more
    std::size_t left_ = 0;
    boost::system::error_code error_;
    std::coroutine_handle<> waiting_;
  };
  [[nodiscard]] Write write(std::string_view a, std::string_view b = {}, std::string_view c = {}, std::string_view d = {}) noexcept {
    return Write(*this, {a, b, c, d});
  }

  // Connecting and ending

  class Connect {
   public:
    Connect(Stream& stream, const SocketAddress& peer) : stream_(stream), peer_(peer) {}
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> waiting);
    Status await_resume();

   private:
    Stream& stream_;
    const SocketAddress& peer_;
    boost::system::error_code error_;
    std::coroutine_handle<> waiting_;
  };
  [[nodiscard]] Connect connect(const SocketAddress& peer) { return Connect(*this, peer); }

  /// For all waits from here on.
  void expires_after(std::chrono::milliseconds after) noexcept { deadline_.set(after); }
  void never_expires() noexcept { deadline_.clear(); }
  /// How long a write may wait for the other side to take some of its bytes; zero: for ever.
  void write_timeout(std::chrono::milliseconds longest) noexcept { write_timeout_ = longest; }
  [[nodiscard]] bool timed_out() const noexcept { return timed_out_; }
  /// False: every wait from here on fails.
  [[nodiscard]] bool usable() const noexcept { return !error_ && !timed_out_ && !cancelled_; }

  /// Ends all waits, and those to come: one that has just ended well does not know yet.
  void cancel() noexcept;
  /// Ends the wait for data, if there is one, with operation_aborted; the stream stays usable.
  void interrupt() noexcept;
  /// Tells the other side that no more bytes follow.
  void shutdown_send() noexcept;

  /// Waits until nothing is in flight and closes the socket: then the stream may be destroyed. In this order, since
  /// Asio's io_uring back end gives the state of a closed socket to the next one, with what the kernel still works on.
  class Finish {
   public:
    explicit Finish(Stream& stream) noexcept : stream_(stream) {}
    bool await_ready() noexcept;
    void await_suspend(std::coroutine_handle<> waiting) noexcept { stream_.waiting_ = waiting; }
    void await_resume() const noexcept;

   private:
    Stream& stream_;
  };
  [[nodiscard]] Finish finish() noexcept { return Finish(*this); }

 private:
  void start_read();
  Completion whole_read() noexcept;
  bool read_through_layer(bool at_once);
  void on_read(const boost::system::error_code& error, std::size_t bytes);
  [[nodiscard]] boost::system::error_code explain(const boost::system::error_code& error) const noexcept;
  static void expired(void* owner) noexcept;
  void look_for_reset() noexcept;
  void end_waits() noexcept;

  Loop& loop_;
  Socket socket_;
  Receiver read_;
  Operation write_;
  std::unique_ptr<Layer> layer_;
  std::size_t block_size_;
  Block block_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool reading_ = false;
  bool ended_ = false;
  bool timed_out_ = false;
  bool interrupted_ = false;
  bool reset_ = false;
  bool cancelled_ = false;
  boost::system::error_code error_;  // of the last read
  std::coroutine_handle<> waiting_;  // for data, or for the end
  Observer* observer_ = nullptr;
  Deadline deadline_;
  // Of its own, since a body may be read from a connection while an answer is written to it.
  Deadline write_deadline_;
  std::chrono::milliseconds write_timeout_{0};
  Deadline second_look_;
};

}  // namespace gateway::net
