// Whatever frames a client sends behind its preface: every stream that begins is told to end at most once, nothing is told of
// one that has ended, what is sent back is whole frames, and the connection comes to its end.
#include "http/h2/session.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/generic/stream_protocol.hpp>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>

using namespace gateway;
using http::h2::Outgoing;
using http::h2::StreamId;

namespace {

constexpr std::string_view preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::size_t most_bytes = 64 << 10;  // what fits into a socket's buffer without anybody reading

struct Exchange {
  Outgoing out;
  bool open = true;
};

// Answers every request with a few bytes when its head has come, and uses up what comes of its body.
class Answering final : public http::h2::Session {
 public:
  explicit Answering(net::Stream& stream) : Session(stream, {.streams = 16, .header_bytes = 4096}) {}

 private:
  static Exchange& of(void* stream) {
    auto& exchange = *static_cast<Exchange*>(stream);
    if (!exchange.open) std::abort();
    return exchange;
  }

  void* begin_stream(StreamId id) override {
    auto& exchange = exchanges_[id];
    if (exchange) std::abort();
    exchange = std::make_unique<Exchange>();
    exchange->out.id = id;
    return exchange.get();
  }
  bool take_field(void* stream, std::string_view name, std::string_view value) override {
    (void)of(stream);
    bytes_ += name.size() + value.size();
    return !name.empty();
  }
  void end_head(void* stream, bool /*end_of_stream*/) override {
    Exchange& exchange = of(stream);
    if (exchange.out.last) return;
    exchange.out.payload = "an answer";
    exchange.out.last = true;
    submit_response(exchange.out, {field(":status", "200"), field("x", "y")}, true);
  }
  void take_data(void* stream, std::string_view bytes) override { used_.emplace_back(of(stream).out.id, bytes.size()); }
  void end_body(void* stream) override { (void)of(stream); }
  void stream_closed(void* stream, std::uint32_t /*error*/) override { of(stream).open = false; }
  void came_in() override {
    for (const auto& [id, bytes] : used_) used(id, bytes);
    used_.clear();
  }

  std::map<StreamId, std::unique_ptr<Exchange>> exchanges_;
  std::vector<std::pair<StreamId, std::size_t>> used_;
  std::size_t bytes_ = 0;
};

Task<void> serve(http::h2::Session& session, net::Stream& stream, bool& done) {
  co_await session.run();
  co_await session.part();
  co_await stream.finish();
  done = true;
}

void check_frames(std::string_view sent) {
  while (!sent.empty()) {
    if (sent.size() < 9) std::abort();
    const auto byte = [&](int i) { return static_cast<std::size_t>(static_cast<unsigned char>(sent[static_cast<std::size_t>(i)])); };
    const std::size_t size = byte(0) << 16 | byte(1) << 8 | byte(2);
    if (size > 16384 || sent.size() < 9 + size) std::abort();
    sent.remove_prefix(9 + size);
  }
}

std::string read_all(int socket) {
  std::string out;
  char buffer[65536];
  for (ssize_t got = 0; (got = ::recv(socket, buffer, sizeof buffer, MSG_DONTWAIT)) > 0;) out.append(buffer, static_cast<std::size_t>(got));
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static net::Loop loop;
  if (size > most_bytes) return 0;
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0) std::abort();
  std::string sent;
  bool done = false;
  {
    net::Stream stream(loop, 4096);
    boost::system::error_code ignored;
    stream.socket().assign(boost::asio::generic::stream_protocol(AF_UNIX, 0), ends[0], ignored);
    Answering session(stream);
    spawn(serve(session, stream, done));
    const auto turn = [&] {
      loop.io().restart();
      while (loop.io().poll() > 0) {
      }
      sent += read_all(ends[1]);
    };
    std::string_view bytes(reinterpret_cast<const char*>(data), size);
    (void)!::write(ends[1], preface.data(), preface.size());
    // In two parts, cut where the input says.
    const std::size_t cut = size == 0 ? 0 : data[0] * size / 256;
    for (const std::string_view part : {bytes.substr(0, cut), bytes.substr(cut)}) {
      if (!part.empty()) (void)!::send(ends[1], part.data(), part.size(), MSG_NOSIGNAL);
      turn();
    }
    ::shutdown(ends[1], SHUT_WR);
    for (int i = 0; i < 100 && !done; ++i) turn();
    if (!done) std::abort();
  }
  ::close(ends[1]);
  check_frames(sent);
  return 0;
}
