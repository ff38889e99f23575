#pragma once

#include <chrono>
#include <cstdint>
#include <memory_resource>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "http/h1/body_decoder.h"
#include "http/message.h"
#include "net/block_pool.h"
#include "net/stream.h"
#include "plugin/exchange.h"

namespace gateway::proxy {

/// Failures of a body that are not the network's.
enum class BodyError { malformed = 1, too_large, ended_early };
[[nodiscard]] boost::system::error_code make_error_code(BodyError error) noexcept;

/// What a client is told when its body failed so: 400, 408 or 413; 0 when there is nobody to tell.
[[nodiscard]] unsigned status_of(const Error& error) noexcept;

/// A request's body as it comes from the client: whole when it came with the head, else piece by piece.
///
/// Errors of next() and read_all(): BodyError, or the network's; Origin::client.
class RequestBody final : public plugin::BodyReader {
 public:
  struct Limits {
    std::uint64_t max_bytes = 0;  ///< zero: none
    std::chrono::milliseconds timeout{60000};
  };

  RequestBody(net::Stream& client, http::Arena& arena) : client_(client), arena_(arena), trailers_(arena) {}

  /// Looks at what came with the head, the `size` bytes at `rest`: true when the body is in there whole,
  /// `taken()` bytes of it. Then the caller keeps those bytes, which may have been rearranged, alive.
  Result<bool> begin(const http::Framing& framing, char* rest, std::size_t size, const Limits& limits);
  [[nodiscard]] std::size_t taken() const noexcept { return taken_; }

  /// To be called before the first next() where the client waits for 100 (Continue).
  void on_first_read(bool send_continue) noexcept { send_continue_ = send_continue; }

  /// The next piece, valid until the next call; empty at the end.
  Task<Result<std::string_view>> next();

  /// Reads until all is in memory or it is more than `limit`, which next() gives out first then. True: it is whole.
  Task<Result<bool>> gather(std::size_t limit);
  Task<Result<std::string_view>> read_all(std::size_t limit) override;
  void replace(std::string body) override;

  [[nodiscard]] bool exists() const noexcept { return framing_.kind != http::Framing::Kind::none; }
  /// All of it has been read from the client's connection: another request may follow.
  [[nodiscard]] bool complete() const noexcept { return complete_; }
  /// Nobody looks at the piece given out last any more: what follows it on the connection may be the next request.
  void release_piece() noexcept { client_.consume(std::exchange(consume_next_, 0)); }
  /// Nothing more is to be read from this connection.
  void abandon() noexcept { complete_ = false; }
  /// In memory and whole: can be sent, and sent again.
  [[nodiscard]] bool buffered() const noexcept { return buffered_; }
  [[nodiscard]] const std::pmr::vector<std::string_view>& pieces() const noexcept { return pieces_; }
  [[nodiscard]] std::uint64_t buffered_size() const noexcept;
  [[nodiscard]] const http::Framing& framing() const noexcept { return framing_; }
  [[nodiscard]] const http::Headers& trailers() const noexcept { return trailers_; }
  [[nodiscard]] std::uint64_t received() const noexcept { return received_; }
  /// Some of it has been given out by next(): it cannot be sent again.
  [[nodiscard]] bool started() const noexcept { return started_; }

 private:
  Task<Result<std::string_view>> read_piece();
  void join_pieces(char* memory) noexcept;

  net::Stream& client_;
  http::Arena& arena_;
  http::Framing framing_;
  Limits limits_;
  std::optional<http::h1::BodyDecoder> decoder_;
  std::pmr::vector<std::string_view> pieces_{&arena_};
  http::Headers trailers_;
  std::string whole_;  // of gather, or what replaced it
  std::size_t taken_ = 0;
  std::size_t next_piece_ = 0;
  std::size_t consume_next_ = 0;  // bytes of the stream that the last piece covered
  std::uint64_t received_ = 0;
  bool complete_ = true;
  bool buffered_ = true;
  bool started_ = false;
  bool send_continue_ = false;
};

}  // namespace gateway::proxy

template <>
struct boost::system::is_error_code_enum<gateway::proxy::BodyError> : std::true_type {};
