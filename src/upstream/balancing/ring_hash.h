#pragma once

#include <cstdint>
#include <string_view>

namespace gateway::upstream {

/// XXH32 with seed 0: where peers and requests are on the ring, on every node alike.
/// Source: xxHash, algorithm description (doc/xxhash_spec.md).
[[nodiscard]] std::uint32_t ring_hash(std::string_view text) noexcept;

}  // namespace gateway::upstream
