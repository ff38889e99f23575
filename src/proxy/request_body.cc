#include "proxy/request_body.h"

#include <boost/asio/error.hpp>
#include <cstring>
#include <utility>

namespace gateway::proxy {
namespace {

using http::Framing;
using http::h1::BodyDecoder;

class Category final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "request body"; }
  std::string message(int code) const override {
    switch (static_cast<BodyError>(code)) {
      case BodyError::malformed: return "malformed";
      case BodyError::too_large: return "larger than allowed";
      case BodyError::ended_early: return "ended before its end";
    }
    return "unknown";
  }
};

Error failed(BodyError error) { return Error{error, Origin::client, "reading the request body"}; }

// Large enough that a big upload costs few system calls, small enough to have thousands at once.
constexpr std::size_t stream_block_bytes = 65536;
// Beyond this a body that came with the head is treated as a stream.
constexpr std::size_t max_pieces_with_head = 256;

}  // namespace

boost::system::error_code make_error_code(BodyError error) noexcept {
  static const Category category;
  return {static_cast<int>(error), category};
}

unsigned status_of(const Error& error) noexcept {
  if (error.code == make_error_code(BodyError::too_large)) return 413;
  if (error.code == make_error_code(BodyError::malformed)) return 400;
  if (error.code == boost::asio::error::timed_out) return 408;
  return 0;
}

Result<bool> RequestBody::begin(const Framing& framing, char* rest, std::size_t size, const Limits& limits) {
  framing_ = framing;
  limits_ = limits;
  if (framing.kind == Framing::Kind::none) return true;
  if (framing.kind == Framing::Kind::length && limits.max_bytes != 0 && framing.length > limits.max_bytes) {
    return failed(BodyError::too_large);
  }
  complete_ = buffered_ = false;
  if (framing.kind == Framing::Kind::length) {
    if (size < framing.length) {
      decoder_.emplace(framing, &trailers_);
      return false;
    }
    taken_ = static_cast<std::size_t>(framing.length);
    if (taken_ > 0) pieces_.emplace_back(rest, taken_);
    received_ = taken_;
    complete_ = buffered_ = true;
    return true;
  }
  decoder_.emplace(framing, &trailers_);
  std::size_t at = 0;
  for (;;) {
    const BodyDecoder::Fed fed = decoder_->feed({rest + at, size - at});
    at += fed.consumed;
    if (!fed.payload.empty()) pieces_.push_back(fed.payload);
    received_ += fed.payload.size();
    if (fed.state == BodyDecoder::State::malformed) return failed(BodyError::malformed);
    if (limits.max_bytes != 0 && received_ > limits.max_bytes) return failed(BodyError::too_large);
    if (fed.state == BodyDecoder::State::done) {
      taken_ = at;
      complete_ = buffered_ = true;
      if (pieces_.size() > 1) join_pieces(rest);
      return true;
    }
    if (fed.state == BodyDecoder::State::need_more || pieces_.size() > max_pieces_with_head) break;
  }
  // Not all there: begin again, piece by piece.
  pieces_.clear();
  trailers_.clear();
  received_ = 0;
  decoder_.emplace(framing, &trailers_);
  return false;
}

// Their bytes lie in `memory`, in this order. One piece costs one write.
void RequestBody::join_pieces(char* memory) noexcept {
  char* end = memory;
  for (const std::string_view piece : pieces_) {
    std::memmove(end, piece.data(), piece.size());
    end += piece.size();
  }
  pieces_.assign(1, {memory, static_cast<std::size_t>(end - memory)});
}

std::uint64_t RequestBody::buffered_size() const noexcept {
  std::uint64_t size = 0;
  for (const std::string_view piece : pieces_) size += piece.size();
  return size;
}

Task<Result<std::string_view>> RequestBody::next() {
  if (!buffered_) started_ = true;
  // Whole in memory, or the beginning that was read before that had to be given up.
  if (next_piece_ < pieces_.size()) co_return pieces_[next_piece_++];
  if (buffered_) co_return std::string_view{};
  Result<std::string_view> piece = co_await read_piece();
  co_return piece;
}

Task<Result<std::string_view>> RequestBody::read_piece() {
  release_piece();
  if (send_continue_) {
    send_continue_ = false;
    client_.expires_after(limits_.timeout);
    const Status sent = co_await client_.write("HTTP/1.1 100 Continue\r\n\r\n");
    if (!sent) co_return Error{sent.error().code, Origin::client, "asking for the request body"};
  }
  while (!complete_) {
    const BodyDecoder::Fed fed = decoder_->gather(client_.bytes(), client_.data().size());
    received_ += fed.payload.size();
    if (fed.state == BodyDecoder::State::malformed) co_return failed(BodyError::malformed);
    if (limits_.max_bytes != 0 && received_ > limits_.max_bytes) co_return failed(BodyError::too_large);
    if (fed.state == BodyDecoder::State::done) complete_ = true;
    if (!fed.payload.empty()) {
      consume_next_ = fed.consumed;
      if (complete_) client_.never_expires();
      co_return fed.payload;
    }
    client_.consume(fed.consumed);
    if (fed.state != BodyDecoder::State::need_more) continue;
    if (!client_.reading()) client_.reserve(stream_block_bytes);
    client_.expires_after(limits_.timeout);
    const Result<bool> more = co_await client_.more();
    if (!more) co_return Error{more.error().code, Origin::client, "reading the request body"};
    if (!*more && client_.data().empty()) co_return failed(BodyError::ended_early);
  }
  client_.never_expires();
  co_return std::string_view{};
}

Task<Result<bool>> RequestBody::gather(std::size_t limit) {
  if (buffered_) co_return true;
  std::optional<Error> failure;
  while (!complete_ && !failure && whole_.size() <= limit) {
    const Result<std::string_view> piece = co_await read_piece();
    if (piece) {
      whole_ += *piece;
    } else {
      failure = piece.error();
    }
  }
  release_piece();
  // What was read is kept for the upstream, whole or not.
  pieces_.assign(1, std::string_view(whole_));
  next_piece_ = 0;
  if (failure) co_return *failure;
  buffered_ = complete_;
  if (complete_) client_.read_ahead();
  co_return complete_;
}

Task<Result<std::string_view>> RequestBody::read_all(std::size_t limit) {
  if (!buffered_ && framing_.kind == Framing::Kind::length && framing_.length > limit) co_return failed(BodyError::too_large);
  const Result<bool> whole = co_await gather(limit);
  if (!whole) co_return whole.error();
  if (!*whole || buffered_size() > limit) co_return failed(BodyError::too_large);
  co_return pieces_.empty() ? std::string_view{} : pieces_.front();
}

void RequestBody::replace(std::string body) {
  whole_ = std::move(body);
  pieces_.clear();
  trailers_.clear();
  if (!whole_.empty()) pieces_.push_back(whole_);
  framing_ = {Framing::Kind::length, whole_.size()};
}

}  // namespace gateway::proxy
