#pragma once

#include <cstddef>

namespace gateway::http::h1 {

/// How much of a head is read before it is refused.
struct Limits {
  std::size_t max_head_bytes = 32768;   ///< request line and headers; beyond: 431
  std::size_t max_headers = 1000;       ///< beyond: 431
  std::size_t max_target_bytes = 8192;  ///< beyond: 414
  bool allow_underscores = false;       ///< header names with '_' are dropped otherwise: X_Real_IP must not pass for X-Real-IP
};

enum class HeadState { incomplete, complete, failed };

}  // namespace gateway::http::h1
