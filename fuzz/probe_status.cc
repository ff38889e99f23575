// What a peer answers to a probe: a status, or none, and nothing beyond three digits.
#include "upstream/balancing/probe_status.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const unsigned status = gateway::upstream::probe_status({reinterpret_cast<const char*>(data), size});
  if (status != 0 && (status < 100 || status > 999)) std::abort();
  return 0;
}
