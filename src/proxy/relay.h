#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <string_view>
#include <utility>

#include "base/task.h"
#include "http/h1/body_decoder.h"
#include "http/h1/response_parser.h"
#include "http/message.h"
#include "net/stream.h"
#include "proxy/connection.h"
#include "proxy/head_writer.h"
#include "proxy/request.h"
#include "proxy/upload.h"

namespace gateway::proxy {

/// A response body as it comes from the upstream.
class ResponseBody {
 public:
  struct Piece {
    std::string_view payload;  ///< valid until the next poll or next
    bool last = false;
  };

  ResponseBody(net::Stream& upstream, http::Arena& arena) : upstream_(upstream), trailers_(arena) {}

  void begin(const http::Framing& framing);
  /// What has arrived already: an empty piece that is not the last when that is nothing.
  Result<Piece> poll();
  /// Waits for the next piece. Errors: the network's, malformed; Origin::upstream.
  Task<Result<Piece>> next(std::chrono::milliseconds timeout);
  /// Nobody looks at the last piece any more: only what follows the body is left on the connection.
  void release_piece() noexcept { upstream_.consume(std::exchange(consume_next_, 0)); }
  [[nodiscard]] const http::Headers& trailers() const noexcept { return trailers_; }

 private:
  net::Stream& upstream_;
  http::Headers trailers_;
  http::Framing framing_;
  std::optional<http::h1::BodyDecoder> decoder_;
  std::size_t consume_next_ = 0;
  bool done_ = false;
};

/// Brings an upstream's answer to the client.
class Relay {
 public:
  enum class End {
    keep,   ///< the upstream connection may serve another request
    close,  ///< it may not
  };

  Relay(Request& request, net::Stream& upstream, std::chrono::milliseconds timeout)
      : request_(request),
        upstream_(upstream),
        client_(request.connection.stream()),
        timeout_(timeout),
        head_(request.arena),
        body_(upstream, request.arena),
        out_(&request.arena),
        chunk_end_(&request.arena) {}

  /// Errors: the upstream failed; request.response_started tells whether the client has seen anything.
  /// A client that fails is not an error: then the end is `close`, and request.client_gone is set.
  Task<Result<End>> run(Upload& upload);

 private:
  using Piece = ResponseBody::Piece;
  using Pieces = std::array<std::string_view, net::Stream::max_pieces>;

  /// What has been read so far, as a head: true when the final one is there, false when more must be read.
  Result<bool> take_head();
  Task<Status> pass_interim();
  Task<Result<End>> send_buffered();
  Task<Result<End>> tunnel();
  void prepare_head();
  void keep_block(std::size_t head_bytes);
  [[nodiscard]] bool body_follows() const noexcept;
  [[nodiscard]] bool any_chosen(plugin::Phase phase) const noexcept;
  /// The bytes that bring a head and a piece of body to the client; valid until the next call.
  Pieces assemble(std::string_view head, Piece piece);
  /// Notes the outcome of a write to the client.
  bool written(const Status& sent, const Pieces& pieces) noexcept;
  Task<bool> write_client(Pieces pieces);
  [[nodiscard]] End end() const noexcept { return head_.keep_alive ? End::keep : End::close; }

  Request& request_;
  net::Stream& upstream_;
  net::Stream& client_;
  std::chrono::milliseconds timeout_;
  http::h1::ResponseParser parser_;
  unsigned interim_ = 0;       // answers before the final one
  bool interim_here_ = false;  // one is in head_, to be passed on
  http::ResponseHead head_;
  ResponseBody body_;
  Output out_;
  char chunk_size_[20];
  Output chunk_end_;
  std::string filtered_;    // a piece that body_filter has changed
  std::string_view whole_;  // the body, when all of it came with the head
  bool chunked_ = false;    // towards the client
  bool trailers_wanted_ = false;
  bool has_body_ = false;
  bool filters_body_ = false;  // some plugin changes the body, so that its length is not known
};

}  // namespace gateway::proxy
