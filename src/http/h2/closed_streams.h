#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace gateway::http::h2 {

/// The streams the other side ended last, by END_STREAM or by a reset: nothing may come on them any more (RFC 9113, 5.1). On
/// those that only we have ended it may, having been on its way. nghttp2 would keep all of a stream to tell the ones from the
/// others, of as many as may be open at a time.
class ClosedStreams {
 public:
  ClosedStreams() noexcept { newest_.fill(-1); }

  void add(std::int32_t id) noexcept { newest_[next_++ % newest_.size()] = id; }
  [[nodiscard]] bool has(std::int32_t id) const noexcept { return std::find(newest_.begin(), newest_.end(), id) != newest_.end(); }

 private:
  std::array<std::int32_t, 32> newest_;
  std::size_t next_ = 0;
};

}  // namespace gateway::http::h2
