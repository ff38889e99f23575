// A normalised path is normal, absolute, and has nothing left to resolve.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "http/path.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view raw(reinterpret_cast<const char*>(data), size);
  const std::string normal = gateway::http::normalised(raw);
  if (normal.empty() || normal.front() != '/') std::abort();
  if (gateway::http::normalised(normal) != normal) std::abort();
  if (normal.find("//") != std::string::npos || (normal + "/").find("/../") != std::string::npos || (normal + "/").find("/./") != std::string::npos)
    std::abort();
  gateway::http::Arena arena;
  if (!raw.empty() && gateway::http::normalise(raw, arena) != normal) std::abort();
  return 0;
}
