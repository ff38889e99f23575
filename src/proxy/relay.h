#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "base/task.h"
#include "http/h1/body_decoder.h"
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
        out_(&request.arena) {}

  /// Errors: the upstream failed; request.response_started tells whether the client has seen anything.
  /// A client that fails is not an error: then the end is `close`, and request.client_gone is set.
  Task<Result<End>> run(Upload& upload);

 private:
  using Piece = ResponseBody::Piece;

  Task<Status> read_head();
  Task<Status> pass_interim();
  Task<Result<End>> send();
  Task<Result<End>> send_buffered();
  Task<bool> send_piece(std::string_view head, Piece piece);
  Task<Result<End>> tunnel();
  void prepare_head();
  void keep_block(std::size_t head_bytes);
  [[nodiscard]] bool body_follows() const noexcept;
  Task<bool> write_client(std::string_view a, std::string_view b = {}, std::string_view c = {}, std::string_view d = {});

  Request& request_;
  net::Stream& upstream_;
  net::Stream& client_;
  std::chrono::milliseconds timeout_;
  http::ResponseHead head_;
  ResponseBody body_;
  Output out_;
  std::string_view whole_;  // the body, when all of it came with the head
  bool chunked_ = false;    // towards the client
  bool has_body_ = false;
};

}  // namespace gateway::proxy
