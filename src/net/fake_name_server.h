#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "net/address.h"
#include "net/ip.h"

namespace gateway::net {

/// A name server for tests, on UDP and TCP of one port and a thread of its own, that answers what it is told to.
class FakeNameServer {
 public:
  static constexpr int any = 0;
  static constexpr int a = 1;
  static constexpr int cname = 5;
  static constexpr int aaaa = 28;
  static constexpr int srv = 33;

  struct Service {
    unsigned priority = 0, weight = 0, port = 0;
    std::string target;
  };
  struct Alias {
    std::string owner, target;  ///< an empty owner is the name asked for
  };
  struct Answer {
    std::vector<std::string> addresses{};
    unsigned ttl = 60;
    unsigned rcode = 0;
    bool silent = false;
    std::chrono::milliseconds delay{0};
    std::vector<Service> services{};
    std::vector<Alias> aliases{};  ///< before the rest, which belongs to the last one's target
    bool cut = false;              ///< on UDP: no records, and a sign to ask on TCP
    std::string raw{};             ///< instead of all that, after the message's id
  };

  FakeNameServer() {
    for (int attempt = 0; attempt < 20 && tcp_ < 0; ++attempt) {
      if (udp_ >= 0) ::close(udp_);
      udp_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
      SocketAddress local = *SocketAddress::from_ip("127.0.0.1", 0);
      EXPECT_EQ(bind(udp_, reinterpret_cast<const sockaddr*>(&local.storage), local.size), 0);
      getsockname(udp_, reinterpret_cast<sockaddr*>(&local.storage), &local.size);
      tcp_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (bind(tcp_, reinterpret_cast<const sockaddr*>(&local.storage), local.size) != 0) ::close(std::exchange(tcp_, -1));
    }
    EXPECT_EQ(listen(tcp_, 8), 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeNameServer() {
    stopping_ = true;
    thread_.join();
    ::close(udp_);
    ::close(tcp_);
  }

  /// `type` may be `any`, for types nothing else is said of.
  void set(const std::string& name, int type, Answer answer) {
    const std::lock_guard lock(mutex_);
    answers_[{name, type}] = std::move(answer);
  }
  int asked(const std::string& name, int type) {
    const std::lock_guard lock(mutex_);
    return asked_[{name, type}];
  }
  int asked_on_tcp() {
    const std::lock_guard lock(mutex_);
    return asked_on_tcp_;
  }
  std::string address() const {
    SocketAddress local;
    local.size = sizeof local.storage;
    getsockname(udp_, reinterpret_cast<sockaddr*>(&local.storage), &local.size);
    return local.to_string();
  }

 private:
  static void put16(std::string& out, unsigned value) {
    out += static_cast<char>(value >> 8);
    out += static_cast<char>(value & 255);
  }
  static std::string wire_name(const std::string& name) {
    std::string out;
    for (std::size_t at = 0; at < name.size();) {
      const std::size_t dot = std::min(name.find('.', at), name.size());
      out += static_cast<char>(dot - at);
      out.append(name, at, dot - at);
      at = dot + 1;
    }
    return out + '\0';
  }
  static void put_record(std::string& out, const std::string& owner, int type, unsigned ttl, const std::string& data) {
    out += wire_name(owner);
    put16(out, static_cast<unsigned>(type));
    put16(out, 1);
    put16(out, ttl >> 16);
    put16(out, ttl & 0xffff);
    put16(out, static_cast<unsigned>(data.size()));
    out += data;
  }

  void serve() {
    while (!stopping_) {
      pollfd waiting[2] = {{udp_, POLLIN, 0}, {tcp_, POLLIN, 0}};
      if (poll(waiting, 2, 10) < 1) continue;
      if (waiting[0].revents != 0) {
        std::uint8_t query[512];
        SocketAddress from;
        from.size = sizeof from.storage;
        const ssize_t size = recvfrom(udp_, query, sizeof query, 0, reinterpret_cast<sockaddr*>(&from.storage), &from.size);
        const std::string reply = size < 17 ? "" : answer(query, false);
        if (!reply.empty()) sendto(udp_, reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&from.storage), from.size);
      }
      if (waiting[1].revents != 0) serve_tcp(accept4(tcp_, nullptr, nullptr, SOCK_CLOEXEC));
    }
  }
  void serve_tcp(int connection) {
    std::uint8_t query[514];
    const timeval longest{1, 0};
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof longest);
    std::size_t have = 0;
    while (have < 2 || have < 2U + query[0] * 256U + query[1]) {
      const ssize_t more = recv(connection, query + have, sizeof query - have, 0);
      if (more <= 0) break;
      have += static_cast<std::size_t>(more);
    }
    const std::string reply = have < 19 ? "" : answer(query + 2, true);
    std::string framed;
    put16(framed, static_cast<unsigned>(reply.size()));
    framed += reply;
    if (!reply.empty()) static_cast<void>(::send(connection, framed.data(), framed.size(), MSG_NOSIGNAL));
    ::close(connection);
  }

  std::string answer(const std::uint8_t* query, bool on_tcp) {
    std::string name;
    std::size_t at = 12;
    while (query[at] != 0) {
      if (!name.empty()) name += '.';
      name.append(reinterpret_cast<const char*>(query) + at + 1, query[at]);
      at += query[at] + 1U;
    }
    const int type = query[at + 1] * 256 + query[at + 2];
    const std::size_t question_end = at + 5;

    Answer answer;
    {
      const std::lock_guard lock(mutex_);
      ++asked_[{name, type}];
      if (on_tcp) ++asked_on_tcp_;
      auto found = answers_.find({name, type});
      if (found == answers_.end()) found = answers_.find({name, any});
      if (found != answers_.end()) answer = found->second;
    }
    if (answer.silent) return {};
    std::this_thread::sleep_for(answer.delay);

    std::string reply(reinterpret_cast<const char*>(query), question_end);
    if (!answer.raw.empty()) return reply.substr(0, 2) + answer.raw;
    reply[2] = static_cast<char>(0x81);
    reply[3] = static_cast<char>(0x80 | answer.rcode);
    reply[7] = reply[9] = reply[11] = 0;
    if (answer.cut && !on_tcp) {
      reply[2] = static_cast<char>(0x83);
      return reply;
    }
    int count = 0;
    std::string owner = name;
    for (const Alias& alias : answer.aliases) {
      put_record(reply, alias.owner.empty() ? name : alias.owner, cname, answer.ttl, wire_name(alias.target));
      owner = alias.target;
      ++count;
    }
    for (const std::string& text : answer.addresses) {
      const IpAddress ip = *IpAddress::parse(text);
      const std::size_t skip = ip.is_v4() ? 12 : 0;
      const std::string data(reinterpret_cast<const char*>(ip.bytes.data()) + skip, 16 - skip);
      put_record(reply, owner, ip.is_v4() ? a : aaaa, answer.ttl, data);
      ++count;
    }
    for (const Service& service : answer.services) {
      std::string data;
      for (const unsigned number : {service.priority, service.weight, service.port}) put16(data, number);
      put_record(reply, owner, srv, answer.ttl, data + wire_name(service.target));
      ++count;
    }
    reply[7] = static_cast<char>(count);
    reply[6] = static_cast<char>(count >> 8);
    return reply;
  }

  int udp_ = -1;
  int tcp_ = -1;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::map<std::pair<std::string, int>, Answer> answers_;
  std::map<std::pair<std::string, int>, int> asked_;
  int asked_on_tcp_ = 0;
  std::thread thread_;
};

}  // namespace gateway::net
