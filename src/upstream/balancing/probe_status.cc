#include "upstream/balancing/probe_status.h"

namespace gateway::upstream {

unsigned probe_status(std::string_view answer) noexcept {
  const std::string_view line = answer.substr(0, answer.find('\n'));
  if (!line.starts_with("HTTP/")) return 0;
  const std::size_t blank = line.find(' ');
  if (blank == std::string_view::npos) return 0;
  const std::string_view digits = line.substr(blank + 1, 3);
  if (digits.size() < 3) return 0;
  unsigned status = 0;
  for (const char digit : digits) {
    if (digit < '0' || digit > '9') return 0;
    status = status * 10 + static_cast<unsigned>(digit - '0');
  }
  return status < 100 ? 0 : status;
}

}  // namespace gateway::upstream
