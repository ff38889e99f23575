#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gateway::http::h2 {

/// Counts the frames in what comes in, by their heads alone (RFC 9113, 4.1). nghttp2 does not tell of those it ignores, which
/// cost us all the same.
class FrameCount {
 public:
  static constexpr std::size_t types = 11;  ///< DATA to CONTINUATION, and all others as one
  using Seen = std::array<unsigned, types>;

  /// `preface` bytes are no frames.
  explicit FrameCount(std::size_t preface) noexcept : left_(preface) {}

  /// What a frame says of itself.
  struct Head {
    std::uint8_t type;
    std::uint8_t flags;
    std::int32_t stream;
  };

  /// Frames that begin in these bytes, by type; `look` is given the head of each.
  template <class Look>
  [[nodiscard]] Seen count(std::string_view bytes, Look&& look) noexcept {
    Seen seen{};
    while (!bytes.empty()) {
      if (left_ > 0) {
        const std::size_t part = std::min(left_, bytes.size());
        bytes.remove_prefix(part);
        left_ -= part;
        continue;
      }
      head_[have_++] = static_cast<std::uint8_t>(bytes.front());
      bytes.remove_prefix(1);
      if (have_ < head_.size()) continue;
      have_ = 0;
      left_ = std::size_t{head_[0]} << 16 | std::size_t{head_[1]} << 8 | head_[2];
      ++seen[std::min<std::size_t>(head_[3], types - 1)];
      look(Head{head_[3], head_[4], static_cast<std::int32_t>((head_[5] & 0x7FU) << 24 | head_[6] << 16 | head_[7] << 8 | head_[8])});
    }
    return seen;
  }
  [[nodiscard]] Seen count(std::string_view bytes) noexcept {
    return count(bytes, [](const Head&) {});
  }

 private:
  std::array<std::uint8_t, 9> head_{};
  std::size_t have_ = 0;  // of head_
  std::size_t left_;      // of the payload
};

}  // namespace gateway::http::h2
