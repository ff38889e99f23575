#pragma once

// Counts what a thread takes from the heap. For tests: it replaces the program's operator new, so one file of a test
// program includes it.
#include <cstdlib>
#include <new>

namespace gateway::allocations {

// Of this thread, while they are counted.
inline thread_local bool counting = false;
inline thread_local int count = 0;

}  // namespace gateway::allocations

// Not inlined, or the compiler sees free() meet what it takes for the library's own operator new.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  if (gateway::allocations::counting) ++gateway::allocations::count;
  return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (void* memory = operator new(size, std::nothrow)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
