#include "net/datagrams.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/task.h"

namespace gateway::net {
namespace {

constexpr std::chrono::seconds too_long{10};

/// A listener that answers everything with itself, on a loop that ends when a test says so.
struct DatagramsTest : testing::Test {
  DatagramsTest()
      : listener(loop, open(), [this](std::string_view bytes, const SocketAddress& peer, const SocketAddress& local) {
          heard.emplace_back(bytes);
          asked = local;
          listener.send(bytes, peer, local);
        }) {}

  ListeningSocket open() {
    ListeningSocket socket = *ListeningSocket::open_datagram(*SocketAddress::from_ip("0.0.0.0", 0));
    place = *SocketAddress::from_ip("127.0.0.5", socket.local_address().port());
    return socket;
  }

  /// Sends all, and reads as many answers.
  Task<void> converse(std::vector<std::string> words) {
    DatagramSocket socket(loop);
    Deadline late(
        loop.deadlines(), [](void* waiting) { static_cast<DatagramSocket*>(waiting)->cancel(); }, &socket);
    late.set(too_long);
    EXPECT_TRUE(socket.connect(place));
    for (const std::string& each : words) EXPECT_TRUE(socket.send(each));
    std::array<char, max_datagram_bytes> buffer;
    while (answers.size() < words.size()) {
      const Result<std::optional<std::size_t>> got = socket.receive(buffer.data(), buffer.size());
      if (!got) {
        failure = got.error();
        break;
      }
      if (*got) {
        answers.emplace_back(buffer.data(), **got);
      } else {
        co_await socket.readable();
        if (socket.cancelled()) break;
      }
    }
    socket.close();
    listener.stop();
    loop.stop_when_idle();
  }

  void run(std::vector<std::string> words) {
    loop.post([this, words = std::move(words)] {
      listener.start();
      spawn(converse(words));
    });
    loop.run();
  }

  Loop loop;
  SocketAddress place;
  SocketAddress asked;
  std::vector<std::string> heard;
  std::vector<std::string> answers;
  std::optional<Error> failure;
  DatagramListener listener;
};

TEST_F(DatagramsTest, GoThereAndBackFromTheAddressThatWasAsked) {
  const std::vector<std::string> words = {"one", "", std::string(60000, 'x')};
  run(words);
  EXPECT_EQ(heard, words);
  EXPECT_EQ(answers, words);
  EXPECT_EQ(asked, place);
}

TEST_F(DatagramsTest, TellThatNobodyIsThere) {
  place = ListeningSocket::open_datagram(*SocketAddress::from_ip("127.0.0.1", 0))->local_address();  // closed again
  run({"anybody?"});
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->code, boost::system::errc::connection_refused);
}

}  // namespace
}  // namespace gateway::net
