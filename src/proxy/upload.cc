#include "proxy/upload.h"

#include <utility>

#include "proxy/connection.h"
#include "proxy/head_writer.h"

namespace gateway::proxy {

void Upload::start() {
  running_ = true;
  complete_ = false;
  spawn(run());
}

Task<void> Upload::run() {
  co_await pump();
  // It may have been stopped over the body's last piece: that must not be taken for the next request.
  request_.body.release_piece();
  running_ = false;
  // While the client took its time, the upstream was not to blame.
  if (upstream_.awaited()) upstream_.expires_after(read_timeout_);
  if (waiting_) std::exchange(waiting_, nullptr).resume();
}

Task<void> Upload::pump() {
  const bool chunked = request_.body.framing().kind == http::Framing::Kind::chunked;
  while (!stopping_) {
    const Result<std::string_view> piece = co_await request_.body.next();
    if (stopping_) co_return;
    if (!piece) co_return client_failed(piece.error());
    if (piece->empty()) break;
    const Status sent = co_await send_piece(*piece);
    // The upstream will not read on; whether it answers is for the one who waits for that.
    if (!sent) co_return;
  }
  if (stopping_) co_return;
  if (chunked) {
    Output end("0\r\n", &request_.arena);
    for (const http::Header& trailer : request_.body.trailers()) {
      end.append(trailer.name).append(": ").append(trailer.value).append("\r\n");
    }
    end += "\r\n";
    const std::string_view bytes = end;
    const Status sent = co_await upstream_.write(bytes);
    if (!sent) co_return;
  }
  complete_ = true;
  // From here on reading ahead tells us when the client leaves, or what it asks next.
  request_.connection.stream().read_ahead();
}

Task<Status> Upload::send_piece(std::string_view piece) {
  char size[20];
  std::string_view chunk_head;
  std::string_view chunk_end;
  if (request_.body.framing().kind == http::Framing::Kind::chunked) {
    chunk_head = write_chunk_size(size, piece.size());
    chunk_end = "\r\n";
  }
  Status sent = co_await upstream_.write(chunk_head, piece, chunk_end);
  co_return sent;
}

void Upload::client_failed(const Error& error) {
  failure_ = status_of(error);
  if (failure_ == 0) return request_.connection.client_left();
  // The upstream must not take what it has for a whole request.
  upstream_.cancel();
}

bool Upload::Stop::await_ready() noexcept {
  if (!upload_.running_) return true;
  upload_.stopping_ = true;
  upload_.upstream_.cancel();
  upload_.request_.connection.stream().interrupt();
  return !upload_.running_;
}

}  // namespace gateway::proxy
