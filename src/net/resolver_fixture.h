#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "net/fake_name_server.h"
#include "net/resolver.h"

namespace gateway::net {

/// A resolver on a loop that the test turns, and the server it asks. `options` may be changed before the first question.
class ResolverTest : public ::testing::Test {
 protected:
  using Found = std::optional<Result<SocketAddress>>;
  using FoundAll = std::optional<Result<Resolver::Answer>>;

  void SetUp() override {
    Executor::set_current(&loop);  // this thread turns it, a little at a time
    options.servers = {server.address()};
    options.hosts_file.clear();
    options.resolv_conf = "/dev/null";
    options.timeout = std::chrono::milliseconds(100);
    options.attempts = 2;
    options.order = {"A", "AAAA"};
  }
  void TearDown() override { Executor::set_current(nullptr); }

  static Task<void> look_up(Resolver& resolver, std::string host, std::shared_ptr<Found> found, Undertaking* waiting = nullptr) {
    Result<SocketAddress> result = co_await resolver.resolve(host, 80, waiting);
    found->emplace(std::move(result));
  }
  static Task<void> look_up_all(Resolver& resolver, std::string host, std::shared_ptr<FoundAll> found) {
    Result<Resolver::Answer> result = co_await resolver.resolve_all(host, 80);
    found->emplace(std::move(result));
  }

  /// `waiting`, of somebody who may give up, lives as long as the look-up.
  std::shared_ptr<Found> begin(const std::string& host, Undertaking* waiting = nullptr) {
    if (!resolver) resolver = std::make_unique<Resolver>(loop, options);
    auto found = std::make_shared<Found>();
    spawn(look_up(*resolver, host, found, waiting));
    return found;
  }
  std::shared_ptr<FoundAll> begin_all(const std::string& host) {
    if (!resolver) resolver = std::make_unique<Resolver>(loop, options);
    auto found = std::make_shared<FoundAll>();
    spawn(look_up_all(*resolver, host, found));
    return found;
  }
  template <class Awaited>
  void wait_for(const Awaited& found) {
    loop.io().restart();
    const auto guard = boost::asio::make_work_guard(loop.io());
    const Steady::time_point end = Steady::now() + std::chrono::seconds(10);
    while (!found && Steady::now() < end) loop.io().run_one_for(std::chrono::milliseconds(100));
    ASSERT_TRUE(found);
  }
  void run_for(std::chrono::milliseconds time) {
    loop.io().restart();
    const auto guard = boost::asio::make_work_guard(loop.io());
    loop.io().run_for(time);
  }
  /// The address found, or the error's text.
  std::string get(const std::string& host) {
    const auto found = begin(host);
    wait_for(*found);
    if (!*found) return "nothing";
    return (*found)->has_value() ? (*found)->value().to_string() : (*found)->error().code.message();
  }
  /// As get(), but the answer must be there without waiting.
  std::string get_now(const std::string& host) {
    const auto found = begin(host);
    if (!*found) return "waits";
    return (*found)->has_value() ? (*found)->value().to_string() : (*found)->error().code.message();
  }

  /// All that was found, "10.0.0.1:80 10.0.0.2:80*3" with weights where there are; or the error's text.
  std::string get_all(const std::string& host) {
    const auto found = begin_all(host);
    wait_for(*found);
    if (!*found) return "nothing";
    if (!(*found)->has_value()) return (*found)->error().code.message();
    std::string text;
    for (const Resolver::Record& record : (*found)->value().records) {
      text += (text.empty() ? "" : " ") + record.address.to_string();
      if (record.weight != 0) text += "*" + std::to_string(record.weight);
    }
    return text;
  }

  FakeNameServer server;
  Loop loop;
  Resolver::Options options;
  std::unique_ptr<Resolver> resolver;
};

}  // namespace gateway::net
