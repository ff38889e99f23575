#include "base/arena.h"

#include <algorithm>
#include <new>

namespace gateway {

void* Arena::allocate_in_a_block(std::size_t size, std::size_t alignment) {
  const std::size_t bytes = std::max(next_block_, sizeof(Block) + alignment + size);
  auto* memory = static_cast<char*>(::operator new(bytes));
  blocks_ = new (memory) Block{blocks_};
  next_block_ *= 2;
  at_ = reinterpret_cast<std::uintptr_t>(memory) + sizeof(Block);
  end_ = reinterpret_cast<std::uintptr_t>(memory) + bytes;
  return allocate(size, alignment);
}

void Arena::free_blocks() noexcept {
  while (blocks_ != nullptr) {
    Block* const before = blocks_->before;
    ::operator delete(blocks_);
    blocks_ = before;
  }
}

}  // namespace gateway
