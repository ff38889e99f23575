#include "proxy/h1_body.h"

#include <cstring>
#include <utility>

namespace gateway::proxy {
namespace {

using http::Framing;
using http::h1::BodyDecoder;

Error failed(BodyError error) { return Error{error, Origin::client, "reading the request body"}; }

}  // namespace

Result<std::optional<std::size_t>> H1Body::begin(RequestBody& body, const Framing& framing, char* rest, std::size_t size) {
  send_continue_ = false;
  consume_next_ = 0;
  received_ = 0;
  complete_ = true;
  if (framing.kind == Framing::Kind::none) {
    body.begin(framing, {});
    return std::optional<std::size_t>(0);
  }
  if (framing.kind == Framing::Kind::length && limits_.max_bytes != 0 && framing.length > limits_.max_bytes) {
    complete_ = false;
    body.begin(framing, *this);
    return failed(BodyError::too_large);
  }
  if (framing.kind == Framing::Kind::length && size >= framing.length) {
    const auto length = static_cast<std::size_t>(framing.length);
    body.begin(framing, {rest, length});
    return std::optional<std::size_t>(length);
  }
  if (framing.kind == Framing::Kind::chunked) {
    const Result<std::optional<std::size_t>> whole = begin_chunked(body, rest, size);
    if (!whole || *whole) return whole;
  }
  complete_ = false;
  decoder_.emplace(framing, &body.trailers());
  body.begin(framing, *this);
  return std::optional<std::size_t>();
}

Result<std::optional<std::size_t>> H1Body::begin_chunked(RequestBody& body, char* rest, std::size_t size) {
  const Framing framing{Framing::Kind::chunked, 0};
  decoder_.emplace(framing, &body.trailers());
  std::size_t at = 0;
  char* end = rest;  // of the payloads, joined: one piece costs one write
  std::optional<Error> failure;
  for (;;) {
    const BodyDecoder::Fed fed = decoder_->feed({rest + at, size - at});
    at += fed.consumed;
    if (fed.state == BodyDecoder::State::malformed) failure = failed(BodyError::malformed);
    if (limits_.max_bytes != 0 && static_cast<std::size_t>(end - rest) + fed.payload.size() > limits_.max_bytes) failure = failed(BodyError::too_large);
    if (failure || fed.state == BodyDecoder::State::need_more) break;
    if (fed.state != BodyDecoder::State::done) {
      end += fed.payload.size();
      continue;
    }
    // It is all here: now its payloads may be moved together.
    decoder_.emplace(framing, nullptr);
    end = rest;
    for (std::size_t from = 0; from < at;) {
      const BodyDecoder::Fed again = decoder_->feed({rest + from, at - from});
      from += again.consumed;
      if (!again.payload.empty()) std::memmove(end, again.payload.data(), again.payload.size());
      end += again.payload.size();
      if (again.state == BodyDecoder::State::done) break;
    }
    body.begin(framing, {rest, static_cast<std::size_t>(end - rest)});
    return std::optional<std::size_t>(at);
  }
  // Not all there: begin again, piece by piece.
  body.trailers().clear();
  if (!failure) return std::optional<std::size_t>();
  complete_ = false;
  body.begin(framing, *this);
  return *failure;
}

void H1Body::release() noexcept { client_.consume(std::exchange(consume_next_, 0)); }

Task<Result<std::string_view>> H1Body::read() {
  release();
  if (send_continue_) {
    send_continue_ = false;
    client_.expires_after(limits_.timeout);
    const Status sent = co_await client_.write("HTTP/1.1 100 Continue\r\n\r\n");
    if (!sent) co_return Error{sent.error().code, Origin::client, "asking for the request body"};
  }
  while (!complete_) {
    const BodyDecoder::Fed fed = decoder_->gather(client_.bytes(), client_.data().size());
    received_ += fed.payload.size();
    if (!fed.payload.empty()) room_.note(fed.payload.size());
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
    if (!client_.reading()) room_.prepare(client_);
    client_.expires_after(limits_.timeout);
    const Result<bool> more = co_await client_.more();
    if (!more) co_return Error{more.error().code, Origin::client, "reading the request body"};
    if (!*more && client_.data().empty()) co_return failed(BodyError::ended_early);
  }
  client_.never_expires();
  co_return std::string_view{};
}

}  // namespace gateway::proxy
