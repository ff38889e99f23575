#pragma once

#include <cstddef>
#include <optional>

#include "net/arrivals.h"
#include "net/completion.h"
#include "net/layer.h"
#include "net/loop.h"
#include "net/ring_operation.h"

namespace gateway::net {

/// What a stream reads by, from the loop's io_uring. One request to the kernel can stand for all that will ever arrive
/// (multishot receive): into buffers of the loop's, from which little is soon copied. Where much arrives at a time, each read
/// is asked for, straight into the reader's own memory.
class Receiver : private RingWaiter {
 public:
  Receiver(Loop& loop, StreamSocket& socket) noexcept : RingWaiter{&Receiver::answered}, ring_(loop.ring()), socket_(socket), once_(loop, socket) {}
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  /// Lets one request stand for many reads, from the next one on, where the kernel does that well. Not where a layer reads, now or later.
  void allow_multishot() noexcept;

  /// What has arrived while nobody was reading: as much as there is room for, now.
  std::size_t take(char* into, std::size_t room) noexcept { return arrivals_.take(into, room); }
  /// Waits for something to read, and reads it, once take() has found nothing. Errors: network, eof, operation_aborted.
  void receive(char* into, std::size_t room, const Layer* layer, Completion then) noexcept;
  /// Waits until the socket has something to read.
  void wait(Layer::State what, Completion then) noexcept { once_.wait(what, then); }
  /// Of a reset right behind what was read, it does not tell.
  [[nodiscard]] bool misses_resets() const noexcept { return multishot_; }
  /// Ends either with operation_aborted, unless it has just ended.
  void cancel() noexcept;

  /// Whether the kernel knows nothing of the socket while nobody is reading.
  [[nodiscard]] bool quiet() const noexcept { return !standing_; }
  /// Waits until that is so; operation_aborted then. For one that is not quiet, and that nobody reads from.
  void let_go(Completion then) noexcept;

 private:
  // Where a buffer came full, or none was free, that many reads are asked for one by one.
  static constexpr unsigned many = 16;

  void start() noexcept;
  void stop() noexcept;
  static void answered(RingWaiter& waiter, int result, unsigned flags);
  void arrived(unsigned flags, std::size_t bytes);
  void ended(int result);
  void tell(int result, std::size_t bytes);

  Ring& ring_;
  StreamSocket& socket_;
  Operation once_;
  Arrivals arrivals_;
  Completion then_;  // of who reads
  char* into_ = nullptr;
  std::size_t room_ = 0;
  std::optional<int> end_;  // nobody was reading when it came
  unsigned one_by_one_ = 0;
  bool asked_ = false;
  bool multishot_ = false;
  bool standing_ = false;   // the request, with the kernel,
  bool stopping_ = false;   // which has been asked to end it
  bool cancelled_ = false;  // whoever reads
};

}  // namespace gateway::net
