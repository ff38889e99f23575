#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace gateway::net {

class BlockPool;

/// A buffer borrowed from a pool; goes back when it is destroyed.
class Block {
 public:
  Block() = default;
  Block(Block&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Block& operator=(Block&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Block();

  [[nodiscard]] char* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  explicit operator bool() const noexcept { return data_ != nullptr; }

 private:
  friend class BlockPool;
  Block(BlockPool* pool, char* data, std::size_t size) noexcept : pool_(pool), data_(data), size_(size) {}
  BlockPool* pool_ = nullptr;
  char* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Buffers of a few sizes for one loop's connections: an idle connection holds a small one or none, a busy
/// one takes larger ones and gives them back. One thread.
class BlockPool {
 public:
  static constexpr std::array<std::size_t, 4> sizes = {4096, 16384, 65536, 262144};

  BlockPool() = default;
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool();

  /// The smallest size that holds `at_least`; beyond the largest, a block of just that size.
  Block take(std::size_t at_least);

 private:
  friend class Block;
  void give(char* data, std::size_t size) noexcept;

  std::array<std::vector<char*>, sizes.size()> free_;
};

}  // namespace gateway::net
