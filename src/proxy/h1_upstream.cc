#include "proxy/h1_upstream.h"

#include <boost/asio/error.hpp>

#include "proxy/head_writer.h"

namespace gateway::proxy {
namespace {

using http::Framing;
using http::h1::BodyDecoder;
using http::h1::HeadState;

constexpr std::size_t max_response_head_bytes = 65536;
constexpr std::size_t largest_kept_answer = 65536;  // with its head, in one block
constexpr unsigned max_interim_responses = 32;

Error upstream_error(boost::system::error_code code, const char* doing) { return Error{code, Origin::upstream, doing}; }
Error malformed(const char* doing) { return upstream_error(boost::system::errc::make_error_code(boost::system::errc::protocol_error), doing); }

}  // namespace

bool H1Upstream::chunked() const noexcept { return !tunnel_ && request_.body.framing().kind == Framing::Kind::chunked; }

Task<Status> H1Upstream::send(std::string_view piece) {
  char size[20];
  std::string_view chunk_head;
  std::string_view chunk_end;
  if (chunked()) {
    chunk_head = write_chunk_size(size, piece.size());
    chunk_end = "\r\n";
  }
  Status sent = co_await stream_.write(chunk_head, piece, chunk_end);
  co_return sent;
}

Task<Status> H1Upstream::send_end(const http::Headers& trailers) {
  if (tunnel_) stream_.shutdown_send();
  if (!chunked()) co_return Status{};
  Output end("0\r\n", &request_.arena);
  for (const http::Header& trailer : trailers) end.append(trailer.name).append(": ").append(trailer.value).append("\r\n");
  end += "\r\n";
  const std::string_view bytes = end;
  Status sent = co_await stream_.write(bytes);
  co_return sent;
}

Result<UpstreamSide::Head> H1Upstream::take_head(http::ResponseHead& head) {
  if (stream_.data().empty()) return Head::incomplete;
  for (;;) {
    const HeadState state = parser_.parse(stream_.data(), head, request_.head.method);
    if (state == HeadState::failed) return malformed("reading the response head");
    if (state == HeadState::incomplete) {
      if (stream_.data().size() >= max_response_head_bytes) return malformed("reading the response head");
      if (!stream_.reading() && stream_.data().size() >= 8192) stream_.reserve(max_response_head_bytes);
      return Head::incomplete;
    }
    if (head.status >= 200 || head.status == 101) break;
    if (++interim_ > max_interim_responses) return malformed("reading the response head");
    // 100 (Continue) answers our Expect, which never went out: it is not the client's.
    if (head.status != 100) return Head::interim;
    pass_interim();
  }
  head_taken_ = true;
  begin_body(head);
  return Head::final;
}

void H1Upstream::pass_interim() {
  stream_.consume(parser_.consumed());
  parser_.reset();
}

// The head's views must outlive what is read next. When the whole answer is here, its block is simply kept.
void H1Upstream::begin_body(http::ResponseHead& head) {
  const std::size_t head_bytes = parser_.consumed();
  const std::size_t buffered = stream_.data().size() - head_bytes;
  framing_ = head.framing;
  if (framing_.kind == Framing::Kind::length && buffered >= framing_.length && buffered < largest_kept_answer) {
    whole_ = stream_.data().substr(head_bytes, static_cast<std::size_t>(framing_.length));
    request_.response_block = stream_.take_block(head_bytes + whole_.size());
    return;
  }
  request_.response_block = stream_.take_block(head_bytes);
  done_ = framing_.kind == Framing::Kind::none || (framing_.kind == Framing::Kind::length && framing_.length == 0);
  if (!done_ && framing_.kind != Framing::Kind::until_close) decoder_.emplace(framing_, &trailers_);
}

bool H1Upstream::becomes_a_tunnel() noexcept {
  tunnel_ = true;
  framing_.kind = Framing::Kind::until_close;
  done_ = false;
  return true;
}

Result<UpstreamSide::Piece> H1Upstream::poll() {
  release_piece();
  if (whole_.data() != nullptr) {
    done_ = true;
    return Piece{std::exchange(whole_, {}), true};
  }
  if (done_) return Piece{{}, true};
  if (framing_.kind == Framing::Kind::until_close) {
    const std::string_view payload = stream_.data();
    consume_next_ = payload.size();
    if (!payload.empty()) room_.note(payload.size());
    done_ = stream_.ended();
    return Piece{payload, done_};
  }
  const BodyDecoder::Fed fed = decoder_->gather(stream_.bytes(), stream_.data().size());
  if (fed.state == BodyDecoder::State::malformed) return malformed("reading the response body");
  done_ = fed.state == BodyDecoder::State::done;
  consume_next_ = fed.consumed;
  if (!fed.payload.empty()) room_.note(fed.payload.size());
  return Piece{fed.payload, done_};
}

bool H1Upstream::has_arrived() {
  release_piece();
  if (head_taken_ && !stream_.reading()) room_.prepare(stream_);
  return net::Stream::More(stream_).await_ready();
}

Result<bool> H1Upstream::arrival() {
  const Result<bool> more = net::Stream::More(stream_).await_resume();
  const char* doing = head_taken_ ? "reading the response body" : "reading the response head";
  if (!more) return upstream_error(more.error().code, doing);
  const bool may_end = head_taken_ && (framing_.kind == Framing::Kind::until_close || !stream_.data().empty());
  if (!*more && !may_end) return upstream_error(boost::asio::error::eof, doing);
  return *more;
}

}  // namespace gateway::proxy
