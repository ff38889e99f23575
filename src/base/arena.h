#pragma once

#include <cstddef>
#include <cstdint>
#include <memory_resource>

namespace gateway {

/// Memory that goes all at once, at the end: nothing taken from it is given back before. One thread.
///
/// Why ours  std::pmr::monotonic_buffer_resource does the same behind two calls, which a request would pay a dozen times.
class Arena final : public std::pmr::memory_resource {
 public:
  Arena() = default;
  /// Begins with memory of the caller's, which lives as long.
  Arena(void* first, std::size_t size) noexcept : at_(reinterpret_cast<std::uintptr_t>(first)), end_(at_ + size) {}
  ~Arena() override {
    if (blocks_ != nullptr) free_blocks();
  }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  [[nodiscard]] void* allocate(std::size_t size, std::size_t alignment = alignof(std::max_align_t)) {
    const std::uintptr_t begin = (at_ + alignment - 1) & ~(alignment - 1);
    if (begin > end_ || size > end_ - begin) [[unlikely]]
      return allocate_in_a_block(size, alignment);
    at_ = begin + size;
    return reinterpret_cast<void*>(begin);  // NOLINT(performance-no-int-to-ptr)
  }

 private:
  struct Block {
    Block* before;
  };

  void* allocate_in_a_block(std::size_t size, std::size_t alignment);
  void free_blocks() noexcept;

  void* do_allocate(std::size_t size, std::size_t alignment) override { return allocate(size, alignment); }
  void do_deallocate(void*, std::size_t, std::size_t) noexcept override {}
  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  std::uintptr_t at_ = 0;
  std::uintptr_t end_ = 0;
  Block* blocks_ = nullptr;
  std::size_t next_block_ = 1024;  // bytes; each is larger than the one before
};

}  // namespace gateway
