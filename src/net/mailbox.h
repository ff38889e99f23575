#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <functional>
#include <mutex>
#include <vector>

namespace gateway::net {

/// Work that other threads leave for a loop. Asio could take it itself, but would then lock for everything else, too, and
/// on io_uring every thread would have to use the ring.
class Mailbox {
 public:
  /// Throws boost::system::system_error when the process has no descriptor left.
  explicit Mailbox(boost::asio::io_context& io);

  /// Any thread. What is left after close() never runs.
  void put(std::function<void()> work);

  /// Waits for work, on the loop's thread; until close() that counts as work of the loop.
  void open();
  void close();

 private:
  void wait();
  void deliver();

  boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type> bell_;  // an eventfd
  bool open_ = false;
  std::mutex mutex_;
  std::vector<std::function<void()>> letters_;
  std::vector<std::function<void()>> delivering_;  // empty between deliveries; keeps its room
};

}  // namespace gateway::net
