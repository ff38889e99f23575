#include "http/server/server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>
#include <thread>

#include "net/loop.h"

namespace gateway::http {
namespace {

Task<Reply> answer(const ServerRequest& request) {
  if (request.head.path == "/throws") throw std::runtime_error("a defect");
  if (request.head.path == "/throws/otherwise") throw 1;
  Reply reply;
  reply.body = "fine";
  co_return reply;
}

/// What comes back for what is sent, until the server closes.
std::string converse(const net::SocketAddress& server, const std::string& sent) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(connect(socket, reinterpret_cast<const sockaddr*>(&server.storage), server.size), 0);
  EXPECT_EQ(send(socket, sent.data(), sent.size(), MSG_NOSIGNAL), static_cast<ssize_t>(sent.size()));
  std::string received;
  char buffer[4096];
  for (ssize_t more = 0; (more = recv(socket, buffer, sizeof buffer, 0)) > 0;) received.append(buffer, static_cast<std::size_t>(more));
  ::close(socket);
  return received;
}

std::string get(const std::string& path, const std::string& more = "") { return "GET " + path + " HTTP/1.1\r\nHost: x.test\r\n" + more + "\r\n"; }

TEST(Server, AnExceptionOfTheHandlerIsA500AndTheConnectionGoesOn) {
  net::Loop loop;
  Server server(loop, {}, &answer);
  Result<net::ListeningSocket> socket = net::ListeningSocket::open(*net::SocketAddress::from_ip("127.0.0.1", 0), 16);
  ASSERT_TRUE(socket);
  const net::SocketAddress address = socket->local_address();
  server.listen(std::move(*socket));
  std::thread thread([&] {
    loop.post([&] { server.start(); });
    loop.run();
  });
  const std::string received = converse(address, get("/throws") + get("/throws/otherwise") + get("/fine", "Connection: close\r\n"));
  loop.post([&] {
    server.abort();
    loop.stop_when_idle();
  });
  thread.join();

  const std::string refusal = "{\"message\":\"An unexpected error occurred\"}";
  const std::size_t first = received.find(refusal);
  ASSERT_NE(first, std::string::npos) << received;
  EXPECT_EQ(received.rfind("HTTP/1.1 500 ", 0), 0U) << received;
  EXPECT_NE(received.find(refusal, first + 1), std::string::npos) << received;
  EXPECT_TRUE(received.ends_with("fine")) << received;
}

}  // namespace
}  // namespace gateway::http
