#include "http/server/server.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/generic/stream_protocol.hpp>

#include "base/log.h"
#include "http/h1/body_decoder.h"
#include "http/h1/request_parser.h"
#include "http/h1/writer.h"
#include "net/linger.h"

namespace gateway::http {
namespace {

constexpr std::size_t input_bytes = 4096;
constexpr std::size_t body_block_bytes = 65536;

Reply message(unsigned status, std::string_view text) {
  Reply reply;
  reply.status = status;
  reply.content_type = "application/json; charset=utf-8";
  reply.body = fmt::format("{{\"message\":\"{}\"}}", text);
  return reply;
}

void append_head(std::string& out, const Reply& reply, std::size_t length, bool close) {
  fmt::format_to(std::back_inserter(out), "HTTP/1.1 {} {}\r\nDate: {}\r\nConnection: {}\r\n", reply.status, reason_phrase(reply.status), h1::http_date(),
                 close ? "close" : "keep-alive");
  if (!reply.content_type.empty()) fmt::format_to(std::back_inserter(out), "Content-Type: {}\r\n", reply.content_type);
  for (const auto& [name, value] : reply.headers) {
    out.append(name).append(": ");
    for (const char c : value) {
      if (c != '\r' && c != '\n') out += c;
    }
    out += "\r\n";
  }
  if (reply.status != 204 && reply.status != 304) fmt::format_to(std::back_inserter(out), "Content-Length: {}\r\n", length);
  out += "\r\n";
}

}  // namespace

class Server::Connection {
 public:
  Connection(Server& server, int descriptor, int family, std::string client_ip, const tls::ServerContext* tls)
      : server_(server), stream_(server.loop_, input_bytes), client_ip_(std::move(client_ip)), tls_(tls) {
    boost::system::error_code ignored;
    stream_.socket().assign(boost::asio::generic::stream_protocol(family, family == AF_UNIX ? 0 : IPPROTO_TCP), descriptor, ignored);
  }

  Task<void> serve() {
    bool again = tls_ == nullptr || co_await shake_hands();
    while (again) again = co_await serve_one();
    co_await stream_.finish();
    server_.remove(*this);
  }

  void stop() {
    stopping_ = true;
    if (idle_) stream_.cancel();
  }
  void abort() {
    stopping_ = true;
    if (!answering_) stream_.cancel();
  }

  std::list<std::unique_ptr<Connection>>::iterator place;

 private:
  Task<bool> shake_hands() {
    stream_.expires_after(server_.options_.timeout);
    const Status agreed = co_await stream_.open(tls_->accept(stream_.socket().native_handle(), false));
    if (!agreed) log::info("no TLS with {}: {}", client_ip_, agreed.error().code.message());
    co_return agreed.has_value();
  }

  Task<bool> serve_one() {
    Arena arena;
    RequestHead head(arena);
    h1::RequestParser parser(server_.options_.head);
    idle_ = true;
    stream_.expires_after(server_.options_.timeout);
    for (;;) {
      const h1::HeadState state = parser.parse(stream_.data(), head);
      if (state == h1::HeadState::complete) break;
      if (state == h1::HeadState::failed) {
        log::info("refused an administrative request: {}", parser.reason());
        Reply reply = message(parser.status(), reason_phrase(parser.status()));
        co_return co_await refuse(reply);
      }
      if (stopping_) co_return false;
      if (!stream_.reading() && stream_.data().size() >= input_bytes) stream_.reserve(server_.options_.head.max_head_bytes + 1024);
      const Result<bool> more = co_await stream_.more();
      if (!more || !*more || stream_.timed_out()) co_return false;
    }
    idle_ = false;
    // The head's views point into this block from here on.
    const net::Block block = stream_.take_block(parser.consumed());
    std::string body;
    const unsigned refused = co_await read_body(head, body);
    if (refused == 0) co_return false;
    if (refused != 200) {
      Reply reply = message(refused, reason_phrase(refused));
      co_return co_await refuse(reply);
    }
    stream_.never_expires();
    answering_ = true;
    const ServerRequest request{head, body, client_ip_};
    Reply reply = co_await answer(request);
    const bool close = !head.keep_alive || stopping_;
    const bool sent = co_await send(reply, head.method == "HEAD", close);
    answering_ = false;
    co_return sent && !close;
  }

  // An exception is a defect of the handler; it costs this one request, not the node.
  Task<Reply> answer(const ServerRequest& request) {
    std::string what = "an exception of no known kind";
    try {
      co_return co_await server_.handler_(request);
    } catch (const std::exception& error) {
      what = error.what();
    } catch (...) {
    }
    log::error("answering {} {}: {}", request.head.method, request.head.path, what);
    co_return message(500, "An unexpected error occurred");
  }

  // 200 when it is there whole, the status to refuse with, or 0 when the client has gone.
  Task<unsigned> read_body(const RequestHead& head, std::string& body) {
    if (head.framing.kind == Framing::Kind::none) co_return 200;
    const std::size_t limit = server_.options_.max_body_bytes;
    if (head.framing.kind == Framing::Kind::length && head.framing.length > limit) co_return 413;
    if (head.expects_continue) {
      const Status sent = co_await stream_.write("HTTP/1.1 100 Continue\r\n\r\n");
      if (!sent) co_return 0;
    }
    h1::BodyDecoder decoder(head.framing, nullptr);
    for (;;) {
      const h1::BodyDecoder::Fed fed = decoder.feed(stream_.data());
      body += fed.payload;
      stream_.consume(fed.consumed);
      if (fed.state == h1::BodyDecoder::State::malformed) co_return 400;
      if (body.size() > limit) co_return 413;
      if (fed.state == h1::BodyDecoder::State::done) co_return 200;
      if (fed.state == h1::BodyDecoder::State::data) continue;
      if (!stream_.reading()) stream_.reserve(body_block_bytes);
      stream_.expires_after(server_.options_.timeout);
      const Result<bool> more = co_await stream_.more();
      if (!more) co_return stream_.timed_out() ? 408 : 0;
      if (!*more && stream_.data().empty()) co_return 0;
    }
  }

  Task<bool> send(const Reply& reply, bool head_only, bool close) {
    std::string head;
    append_head(head, reply, reply.body.size(), close);
    stream_.expires_after(server_.options_.timeout);
    const std::string_view head_view = head;
    const std::string_view body = head_only || reply.status == 204 || reply.status == 304 ? std::string_view{} : std::string_view(reply.body);
    const Status sent = co_await stream_.write(head_view, body);
    co_return sent.has_value();
  }

  Task<bool> refuse(const Reply& reply) {
    const bool sent = co_await send(reply, false, true);
    if (!sent || stream_.timed_out()) co_return false;
    co_await net::linger(stream_);
    co_return false;
  }

  Server& server_;
  net::Stream stream_;
  const std::string client_ip_;
  const tls::ServerContext* tls_;
  bool idle_ = true;
  bool answering_ = false;
  bool stopping_ = false;
};

Server::Server(net::Loop& loop, Options options, Handler handler) : loop_(loop), options_(options), handler_(std::move(handler)) {}
Server::~Server() = default;

void Server::listen(net::ListeningSocket socket, const tls::ServerContext* tls) {
  const int family = socket.local_address().family();
  listeners_.push_back(std::make_unique<net::Listener>(loop_, std::move(socket), [this, family, tls](int descriptor, const net::SocketAddress& peer) {
    if (stopping_ || connections_.size() >= options_.max_connections) {
      ::close(descriptor);
      return;
    }
    auto& slot = connections_.emplace_back(std::make_unique<Connection>(*this, descriptor, family, family == AF_UNIX ? "unix:" : peer.ip(), tls));
    slot->place = std::prev(connections_.end());
    spawn(slot->serve());
  }));
}

void Server::start() {
  for (const auto& listener : listeners_) listener->start();
}

void Server::stop() {
  stopping_ = true;
  for (const auto& listener : listeners_) listener->stop();
  for (const auto& connection : connections_) connection->stop();
}

void Server::abort() {
  stop();
  for (const auto& connection : connections_) connection->abort();
}

void Server::remove(Connection& connection) {
  // Its own coroutine is still running on it.
  std::shared_ptr<Connection> ended(std::move(*connection.place));
  connections_.erase(connection.place);
  loop_.post([ended = std::move(ended)] {});
}

}  // namespace gateway::http
