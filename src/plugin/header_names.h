#pragma once

#include <string_view>

#include "base/ascii.h"
#include "http/headers.h"

namespace gateway::plugin {

/// Whether a header goes by a configured name as Kong sees it: any case, and dashes as good as underscores.
[[nodiscard]] inline bool same_header(std::string_view given, std::string_view wanted) noexcept {
  if (given.size() != wanted.size()) return false;
  if (http::equals_ignoring_case(given, wanted)) return true;
  const auto plain = [](char c) { return c == '_' ? '-' : lower(c); };
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (plain(given[i]) != plain(wanted[i])) return false;
  }
  return true;
}

/// The first header of that name; null when there is none.
[[nodiscard]] inline const http::Header* find_header(const http::Headers& headers, std::string_view wanted) noexcept {
  for (const http::Header& header : headers) {
    if (same_header(header.name, wanted)) return &header;
  }
  return nullptr;
}

}  // namespace gateway::plugin
