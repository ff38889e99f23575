#pragma once

#include <ares.h>

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/system/error_code.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "net/dns_message.h"
#include "net/loop.h"
#include "net/waiting.h"

namespace gateway::net {

/// Asks name servers, through c-ares: several servers in turn, repeated attempts, TCP where an answer was cut short, the search
/// list and `ndots` of resolv.conf for names that do not end in a dot. On the loop's thread alone.
class DnsChannel : public std::enable_shared_from_this<DnsChannel> {
 public:
  struct Options {
    std::vector<std::string> servers;              ///< "ip", "ip:port", "[ip]:port"; empty: of resolv_conf
    std::string resolv_conf = "/etc/resolv.conf";  ///< need not exist
    std::chrono::milliseconds timeout{2000};       ///< of the first attempt; each round of attempts doubles it
    unsigned attempts = 3;                         ///< per server
  };

  /// One question, and the coroutine that awaits its answer. Must not go before the channel is closed or the answer is there.
  struct Question : Waiting {
    Question(DnsChannel& asked, const std::string& asked_name, DnsType asked_type) : channel(asked), name(asked_name), type(asked_type) {}

    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting) {
      handle = waiting;
      channel.ask(*this);
    }
    void await_resume() const noexcept {}

    DnsChannel& channel;
    const std::string& name;
    const DnsType type;
    boost::system::error_code error;
    DnsMessage message;  ///< when there is no error; may hold no record of the type
  };

  /// `answered` is told, never within a call of this class, that something may have been linked to `ready`: coroutines whose
  /// questions are answered. They must not be resumed inside a call of c-ares, hence the list.
  DnsChannel(Loop& loop, const Options& options, Waiting*& ready, std::function<void()> answered);
  ~DnsChannel();

  /// Nobody is told any more.
  void close() noexcept;
  /// All questions fail with operation_aborted.
  void cancel();
  /// Why nothing can be asked, if so.
  [[nodiscard]] boost::system::error_code broken() const noexcept { return broken_; }

 private:
  using Descriptor = boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type>;
  using Timer = boost::asio::basic_waitable_timer<Steady, boost::asio::wait_traits<Steady>, boost::asio::io_context::executor_type>;

  /// A socket of c-ares, watched through a descriptor of our own: c-ares closes its own at once, while a wait must
  /// have ended before its descriptor is closed (see Stream::finish).
  struct Socket {
    Socket(boost::asio::io_context& io, int descriptor);
    const int number;  // of c-ares; its key
    Descriptor watched;
    bool closed = false;
    bool wants_read = false, wants_write = false;
    bool reading = false, writing = false;
  };
  using Sockets = std::map<ares_socket_t, std::shared_ptr<Socket>>;

  void open(const Options& options);
  void ask(Question& question);
  static void on_socket(void* self, ares_socket_t descriptor, int readable, int writable);
  static void on_answer(void* question, int status, int timeouts, unsigned char* answer, int size);
  void watch(const std::shared_ptr<Socket>& socket);
  void ready(const std::shared_ptr<Socket>& socket, bool reading, const boost::system::error_code& error);
  void drop(Sockets::iterator closed);
  void process(ares_socket_t readable, ares_socket_t writable);
  void arm_timer();

  Loop& loop_;
  Waiting*& ready_;
  std::function<void()> answered_;
  Timer timer_;
  ares_channel channel_ = nullptr;
  boost::system::error_code broken_;
  Sockets sockets_;
};

}  // namespace gateway::net
