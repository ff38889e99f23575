#pragma once

#include <cstddef>

#include "net/stream.h"

namespace gateway::proxy {

/// How much is read of a streamed body at a time. A fast one is read in large pieces, which saves half of its CPU; a slow
/// one, of which there may be thousands, holds little memory while it is waited for.
class BodyRoom {
 public:
  /// What came with the last read.
  void note(std::size_t bytes) noexcept {
    if (bytes >= small - small / 4) {
      bytes_ = large;
    } else if (bytes < small / 4) {
      bytes_ = small;
    }
  }
  /// Before the next read, when no read is in flight.
  void prepare(net::Stream& stream) const {
    if (bytes_ == small) stream.release_block();  // it may be a large one
    stream.reserve(bytes_);
  }

 private:
  static constexpr std::size_t small = 65536;
  static constexpr std::size_t large = 262144;
  std::size_t bytes_ = small;
};

}  // namespace gateway::proxy
