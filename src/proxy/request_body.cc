#include "proxy/request_body.h"

#include <boost/asio/error.hpp>
#include <optional>
#include <utility>

namespace gateway::proxy {
namespace {

using http::Framing;

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

void RequestBody::begin(const Framing& framing, std::string_view whole) {
  framing_ = framing;
  piece_ = whole;
  size_ = whole.size();
}

void RequestBody::begin(const Framing& framing, BodySource& source) {
  framing_ = framing;
  source_ = &source;
  buffered_ = false;
}

Task<Result<std::string_view>> RequestBody::next() {
  if (!buffered_) started_ = true;
  // Whole in memory, or the beginning that was read before that had to be given up.
  if (!std::exchange(piece_given_, true) && !piece_.empty()) co_return piece_;
  if (buffered_) co_return std::string_view{};
  Result<std::string_view> piece = co_await source_->read();
  co_return piece;
}

Task<Result<bool>> RequestBody::gather(std::size_t limit) {
  if (buffered_) co_return true;
  std::optional<Error> failure;
  while (!source_->complete() && !failure && whole_.size() <= limit) {
    const Result<std::string_view> piece = co_await source_->read();
    if (piece) {
      whole_ += *piece;
    } else {
      failure = piece.error();
    }
  }
  source_->release();
  // What was read is kept for the upstream, whole or not.
  piece_ = whole_;
  piece_given_ = false;
  if (failure) co_return *failure;
  buffered_ = source_->complete();
  if (buffered_) source_->finish();
  co_return buffered_;
}

Task<Result<std::string_view>> RequestBody::read_all(std::size_t limit) {
  if (!buffered_ && framing_.kind == Framing::Kind::length && framing_.length > limit) co_return failed(BodyError::too_large);
  const Result<bool> whole = co_await gather(limit);
  if (!whole) co_return whole.error();
  if (!*whole || piece_.size() > limit) co_return failed(BodyError::too_large);
  co_return piece_;
}

void RequestBody::replace(std::string body) {
  whole_ = std::move(body);
  piece_ = whole_;
  trailers_.clear();
  framing_ = {Framing::Kind::length, whole_.size()};
}

}  // namespace gateway::proxy
