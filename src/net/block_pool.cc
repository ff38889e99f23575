#include "net/block_pool.h"

#include <sanitizer/asan_interface.h>

#include <cstdlib>
#include <new>

namespace gateway::net {
namespace {

// What a burst leaves behind goes back to the system: enough stays for a busy worker.
constexpr std::size_t keep_bytes = 4 << 20;

std::size_t class_of(std::size_t size) {
  for (std::size_t i = 0; i < BlockPool::sizes.size(); ++i) {
    if (size <= BlockPool::sizes[i]) return i;
  }
  return BlockPool::sizes.size();
}

}  // namespace

Block::~Block() {
  if (data_ != nullptr) pool_->give(data_, size_);
}

BlockPool::~BlockPool() {
  for (auto& list : free_) {
    for (char* data : list) {
      ASAN_UNPOISON_MEMORY_REGION(data, sizes[static_cast<std::size_t>(&list - free_.data())]);
      std::free(data);
    }
  }
}

Block BlockPool::take(std::size_t at_least) {
  const std::size_t index = class_of(at_least);
  const std::size_t size = index < sizes.size() ? sizes[index] : at_least;
  if (index < sizes.size() && !free_[index].empty()) {
    char* data = free_[index].back();
    free_[index].pop_back();
    ASAN_UNPOISON_MEMORY_REGION(data, size);
    return {this, data, size};
  }
  auto* data = static_cast<char*>(std::malloc(size));
  if (data == nullptr) throw std::bad_alloc();
  return {this, data, size};
}

void BlockPool::give(char* data, std::size_t size) noexcept {
  const std::size_t index = class_of(size);
  if (index >= sizes.size() || free_[index].size() >= keep_bytes / sizes[index]) {
    std::free(data);
    return;
  }
  try {
    free_[index].push_back(data);
    ASAN_POISON_MEMORY_REGION(data, size);  // under AddressSanitizer, who still looks there is caught
  } catch (const std::bad_alloc&) {
    std::free(data);
  }
}

}  // namespace gateway::net
