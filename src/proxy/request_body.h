#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/task.h"
#include "http/message.h"
#include "plugin/exchange.h"

namespace gateway::proxy {

/// Failures of a body that are not the network's.
enum class BodyError { malformed = 1, too_large, ended_early };
[[nodiscard]] boost::system::error_code make_error_code(BodyError error) noexcept;

/// What a client is told when its body failed so: 400, 408 or 413; 0 when there is nobody to tell.
[[nodiscard]] unsigned status_of(const Error& error) noexcept;

/// Where a request's body comes from: the client's connection, as its version of HTTP frames it.
class BodySource {
 public:
  virtual ~BodySource() = default;
  /// The next piece, valid until the next call or release(); empty at the end. Errors: BodyError, or the network's; Origin::client.
  virtual Task<Result<std::string_view>> read() = 0;
  /// All of it has been read: another request may follow.
  [[nodiscard]] virtual bool complete() const noexcept = 0;
  /// Bytes of it so far, without framing.
  [[nodiscard]] virtual std::uint64_t received() const noexcept = 0;
  /// Nobody looks at the piece given out last any more.
  virtual void release() noexcept = 0;
  /// All of it has been used: from here on the connection tells when the client leaves, or what it asks next.
  virtual void finish() noexcept = 0;
  /// Ends the wait for a piece, if there is one, with operation_aborted.
  virtual void interrupt() noexcept = 0;
};

/// A request's body: whole when it came with the head, else piece by piece.
///
/// Errors of next() and read_all(): those of its source.
class RequestBody final : public plugin::BodyReader {
 public:
  explicit RequestBody(http::Arena& arena) : trailers_(arena) {}

  /// Without a body, or with one that is all here.
  void begin(const http::Framing& framing, std::string_view whole);
  /// With one that comes from `source`, which must live as long.
  void begin(const http::Framing& framing, BodySource& source);

  /// The next piece, valid until the next call; empty at the end.
  Task<Result<std::string_view>> next();

  /// Reads until all is in memory or it is more than `limit`, which next() gives out first then. True: it is whole.
  Task<Result<bool>> gather(std::size_t limit);
  Task<Result<std::string_view>> read_all(std::size_t limit) override;
  void replace(std::string body) override;

  [[nodiscard]] bool exists() const noexcept { return framing_.kind != http::Framing::Kind::none; }
  /// All of it has been read from the client's connection: another request may follow.
  [[nodiscard]] bool complete() const noexcept { return !abandoned_ && (source_ == nullptr || source_->complete()); }
  /// Nobody looks at the piece given out last any more: what follows it on the connection may be the next request.
  void release_piece() noexcept {
    if (source_ != nullptr) source_->release();
  }
  void finish() noexcept {
    if (source_ != nullptr) source_->finish();
  }
  void interrupt() noexcept {
    if (source_ != nullptr) source_->interrupt();
  }
  /// Nothing more is to be read from this connection.
  void abandon() noexcept { abandoned_ = true; }
  /// In memory and whole: can be sent, and sent again.
  [[nodiscard]] bool buffered() const noexcept { return buffered_; }
  /// What of it is in memory; empty when that is nothing.
  [[nodiscard]] std::string_view piece() const noexcept { return piece_; }
  [[nodiscard]] const http::Framing& framing() const noexcept { return framing_; }
  [[nodiscard]] const http::Headers& trailers() const noexcept { return trailers_; }
  [[nodiscard]] http::Headers& trailers() noexcept { return trailers_; }
  [[nodiscard]] std::uint64_t received() const noexcept { return source_ != nullptr ? source_->received() : size_; }
  /// Some of it has been given out by next(): it cannot be sent again.
  [[nodiscard]] bool started() const noexcept { return started_; }

 private:
  http::Framing framing_;
  BodySource* source_ = nullptr;
  std::string_view piece_;
  http::Headers trailers_;
  std::string whole_;  // of gather, or what replaced it
  std::uint64_t size_ = 0;
  bool abandoned_ = false;
  bool buffered_ = true;
  bool started_ = false;
  bool piece_given_ = false;
};

}  // namespace gateway::proxy

template <>
struct boost::system::is_error_code_enum<gateway::proxy::BodyError> : std::true_type {};
