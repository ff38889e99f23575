#if defined(BOOST_ASIO_HAS_IO_URING) && defined(BOOST_ASIO_DISABLE_EPOLL)
#include "net/arrivals.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

namespace gateway::net {

std::unique_ptr<ArrivalBuffers> ArrivalBuffers::make(io_uring& ring) {
  // The list of free ones, which the kernel wants at the beginning of a page, and the buffers behind.
  void* memory = ::mmap(nullptr, count * (sizeof(io_uring_buf) + size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  std::unique_ptr<ArrivalBuffers> made(new ArrivalBuffers(static_cast<char*>(memory)));
  io_uring_buf_reg list{};
  list.ring_addr = reinterpret_cast<__u64>(memory);
  list.ring_entries = count;
  list.bgid = group;
  if (io_uring_register_buf_ring(&ring, &list, 0) != 0) return nullptr;
  return made;
}

ArrivalBuffers::ArrivalBuffers(char* memory) noexcept : free_(reinterpret_cast<io_uring_buf_ring*>(memory)), memory_(memory + count * sizeof(io_uring_buf)) {
  io_uring_buf_ring_init(free_);
  for (unsigned buffer = 0; buffer < count; ++buffer) give_back(buffer);
}

ArrivalBuffers::~ArrivalBuffers() { ::munmap(free_, count * (sizeof(io_uring_buf) + size)); }

void ArrivalBuffers::give_back(unsigned buffer) noexcept {
  io_uring_buf_ring_add(free_, memory_ + buffer * size, size, static_cast<unsigned short>(buffer), io_uring_buf_ring_mask(count), 0);
  io_uring_buf_ring_advance(free_, 1);
}

Arrivals::~Arrivals() {
  while (held_ > 0) drop_first();
}

void Arrivals::add(ArrivalBuffers& buffers, unsigned answer, std::size_t bytes) noexcept {
  buffers_ = &buffers;
  const auto buffer = static_cast<std::uint16_t>(answer >> IORING_CQE_BUFFER_SHIFT);
  buffers.bytes_[buffer] = static_cast<std::uint16_t>(bytes);
  if (held_++ == 0) {
    first_ = buffer;
    taken_ = 0;
  } else {
    buffers.next_[last_] = buffer;
  }
  last_ = buffer;
}

std::size_t Arrivals::take(char* into, std::size_t room) noexcept {
  std::size_t copied = 0;
  while (held_ > 0 && copied < room) {
    const std::size_t part = std::min(buffers_->bytes_[first_] - taken_, room - copied);
    std::memcpy(into + copied, buffers_->memory_ + first_ * ArrivalBuffers::size + taken_, part);
    copied += part;
    taken_ += part;
    if (taken_ == buffers_->bytes_[first_]) drop_first();
  }
  return copied;
}

void Arrivals::drop_first() noexcept {
  const std::uint16_t next = buffers_->next_[first_];
  buffers_->give_back(first_);
  first_ = next;
  taken_ = 0;
  --held_;
}

}  // namespace gateway::net
#endif
