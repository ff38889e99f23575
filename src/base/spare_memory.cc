#include "base/spare_memory.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace gateway {
namespace {

// proc(5): the second number is that of resident pages.
std::size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t all = 0;
  std::size_t resident = 0;
  file >> all >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// Resident, and in use by nobody; the program itself counts as well.
std::size_t spare_of(std::size_t resident) {
  const struct mallinfo2 heap = ::mallinfo2();
  const std::size_t used = heap.uordblks + heap.hblkhd;
  return resident > used ? resident - used : 0;
}

}  // namespace

void SpareMemory::give_back() {
  const std::size_t resident = resident_bytes();
  if (resident < much) return;
  const std::size_t spare = spare_of(resident);
  if (spare < much) limit_ = much;
  if (spare < limit_) return;
  ::malloc_trim(0);
  // What lies in one page with things in use stays: tried again when there is as much more.
  limit_ = spare_of(resident_bytes()) + much;
}

}  // namespace gateway
