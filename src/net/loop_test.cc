#include "net/loop.h"

#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <thread>
#include <vector>

namespace gateway::net {
namespace {

TEST(Loop, RunsWhatOtherThreadsPostInTheirOrderOnItsOwnThread) {
  constexpr int threads = 4;
  constexpr int posts = 2000;
  Loop loop;
  std::vector<std::vector<int>> seen(threads);
  int left = threads * posts;
  bool elsewhere = false;
  std::thread::id runs_on;
  std::thread running([&] {
    runs_on = std::this_thread::get_id();
    loop.run();
  });
  std::vector<std::thread> posting;
  for (int thread = 0; thread < threads; ++thread) {
    posting.emplace_back([&, thread] {
      for (int i = 0; i < posts; ++i) {
        loop.post([&, thread, i] {
          elsewhere |= std::this_thread::get_id() != runs_on;
          seen[static_cast<std::size_t>(thread)].push_back(i);
          if (--left == 0) loop.stop();
        });
      }
    });
  }
  for (std::thread& thread : posting) thread.join();
  running.join();

  EXPECT_FALSE(elsewhere);
  for (const std::vector<int>& order : seen) {
    ASSERT_EQ(order.size(), static_cast<std::size_t>(posts));
    for (int i = 0; i < posts; ++i) ASSERT_EQ(order[static_cast<std::size_t>(i)], i);
  }
}

TEST(Loop, RunsWhatWasPostedBeforeItRan) {
  Loop loop;
  bool ran = false;
  loop.post([&] {
    ran = true;
    loop.stop();
  });

  loop.run();

  EXPECT_TRUE(ran);
}

TEST(Loop, EndsByItselfOnceNothingIsInFlight) {
  Loop loop;
  bool later = false;
  loop.post([&] {
    loop.stop_when_idle();
    loop.post([&] { later = true; });
  });

  loop.run();

  EXPECT_TRUE(later);
}

TEST(Loop, StopsFromAnotherThread) {
  Loop loop;
  std::thread running([&] { loop.run(); });

  loop.stop();

  running.join();
}

}  // namespace
}  // namespace gateway::net
