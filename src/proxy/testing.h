#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "plugin/plugin.h"
#include "snapshot/publisher.h"

/// For tests that have a real worker: what plugins note, and clients.
namespace gateway::proxy::testing {

/// What plugins did, in order; from the worker's thread to the test's.
class Notes {
 public:
  void add(std::string note) {
    const std::lock_guard lock(mutex_);
    notes_.push_back(std::move(note));
    changed_.notify_all();
  }
  /// All of them, once there is one that begins so.
  std::vector<std::string> until(const std::string& beginning) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(10),
                      [&] { return std::any_of(notes_.begin(), notes_.end(), [&](const std::string& each) { return each.starts_with(beginning); }); });
    return notes_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> notes_;
};

struct Inline final : Executor {
  void post(std::function<void()> work) override { work(); }
};

/// A kind of plugin whose rows are made with what they note in.
template <class Made>
plugin::PluginType noting(std::string name, int priority, plugin::Phase phases, Notes& notes) {
  plugin::PluginType type;
  type.name = std::move(name);
  type.priority = priority;
  type.phases = phases;
  type.make = [&notes](const entity::PluginConfig& row, const plugin::Services&) -> Result<std::unique_ptr<plugin::Plugin>> {
    return std::unique_ptr<plugin::Plugin>(std::make_unique<Made>(row, notes));
  };
  return type;
}

/// A row is written: a new one, or another in its place.
inline void change(snapshot::Publisher& publisher, const std::string& entity, nlohmann::json document) {
  store::Change change;
  change.entity = entity;
  change.id = *Uuid::parse(document["id"].get<std::string>());
  change.after = std::move(document);
  publisher.changed({change});
}

/// A blocking socket, closed at the end.
struct Socket {
  explicit Socket(int of) : descriptor(of) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() { ::close(descriptor); }
  /// Connected to a port of this machine.
  static Socket to(std::uint16_t port, int type = SOCK_STREAM) {
    const sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    const int descriptor = ::socket(AF_INET, type, 0);
    EXPECT_EQ(::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return Socket(descriptor);
  }
  void send(std::string_view text) const { EXPECT_EQ(::send(descriptor, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size())); }
  std::string read_until(std::string_view mark) const {
    std::string out;
    char buffer[4096];
    while (mark.empty() || out.find(mark) == std::string::npos) {
      const ssize_t got = ::recv(descriptor, buffer, sizeof buffer, 0);
      if (got <= 0) break;
      out.append(buffer, static_cast<std::size_t>(got));
    }
    return out;
  }
  int descriptor;
};

}  // namespace gateway::proxy::testing
