#include "http/headers.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace gateway::http {
namespace {

struct Known {
  Name id;
  std::string_view spelling;
};

constexpr std::array known = {
    Known{Name::accept, "Accept"},
    Known{Name::authorization, "Authorization"},
    Known{Name::connection, "Connection"},
    Known{Name::content_length, "Content-Length"},
    Known{Name::content_type, "Content-Type"},
    Known{Name::date, "Date"},
    Known{Name::expect, "Expect"},
    Known{Name::host, "Host"},
    Known{Name::keep_alive, "Keep-Alive"},
    Known{Name::proxy_authorization, "Proxy-Authorization"},
    Known{Name::proxy_connection, "Proxy-Connection"},
    Known{Name::proxy, "Proxy"},
    Known{Name::server, "Server"},
    Known{Name::te, "TE"},
    Known{Name::trailer, "Trailer"},
    Known{Name::transfer_encoding, "Transfer-Encoding"},
    Known{Name::upgrade, "Upgrade"},
    Known{Name::user_agent, "User-Agent"},
    Known{Name::via, "Via"},
    Known{Name::x_forwarded_for, "X-Forwarded-For"},
    Known{Name::x_forwarded_host, "X-Forwarded-Host"},
    Known{Name::x_forwarded_path, "X-Forwarded-Path"},
    Known{Name::x_forwarded_port, "X-Forwarded-Port"},
    Known{Name::x_forwarded_prefix, "X-Forwarded-Prefix"},
    Known{Name::x_forwarded_proto, "X-Forwarded-Proto"},
    Known{Name::x_kong_proxy_latency, "X-Kong-Proxy-Latency"},
    Known{Name::x_kong_request_id, "X-Kong-Request-Id"},
    Known{Name::x_kong_response_latency, "X-Kong-Response-Latency"},
    Known{Name::x_kong_upstream_latency, "X-Kong-Upstream-Latency"},
    Known{Name::x_real_ip, "X-Real-IP"},
};

// Name::other aside, in the order of the enumeration: a name finds its spelling by its number.
static_assert([] {
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (static_cast<std::size_t>(known[i].id) != i + 1) return false;
  }
  return true;
}());

constexpr std::size_t longest = 23;

constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

// Names by length: few share one, so that a name is compared with two or three others at most.
struct ByLength {
  std::array<std::array<const Known*, 4>, longest + 1> lists{};

  constexpr ByLength() {
    for (const Known& each : known) {
      for (const Known*& place : lists[each.spelling.size()]) {
        if (place == nullptr) {
          place = &each;
          break;
        }
      }
    }
  }
};
constexpr ByLength by_length;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

Name classify(std::string_view name) noexcept {
  if (name.size() > longest) return Name::other;
  for (const Known* candidate : by_length.lists[name.size()]) {
    if (candidate == nullptr) break;
    if (equals_ignoring_case(candidate->spelling, name)) return candidate->id;
  }
  return Name::other;
}

std::string_view spelling(Name name) noexcept {
  return name == Name::other ? std::string_view{} : known[static_cast<std::size_t>(name) - 1].spelling;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

bool list_contains(std::string_view list, std::string_view token) noexcept {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    if (equals_ignoring_case(trimmed(list.substr(0, comma)), token)) return true;
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
  }
  return false;
}

const Header* Headers::find(Name id) const noexcept {
  if (!may_have(id)) return nullptr;
  for (const Header& header : list_) {
    if (header.id == id) return &header;
  }
  return nullptr;
}

const Header* Headers::find(std::string_view name) const noexcept {
  const Name id = classify(name);
  if (id != Name::other) return find(id);
  for (const Header& header : list_) {
    if (equals_ignoring_case(header.name, name)) return &header;
  }
  return nullptr;
}

std::string_view Headers::value(Name id) const noexcept {
  const Header* header = find(id);
  return header == nullptr ? std::string_view{} : header->value;
}

std::string_view Headers::value(std::string_view name) const noexcept {
  const Header* header = find(name);
  return header == nullptr ? std::string_view{} : header->value;
}

std::size_t Headers::count(std::string_view name) const noexcept {
  return static_cast<std::size_t>(
      std::count_if(list_.begin(), list_.end(), [&](const Header& header) { return equals_ignoring_case(header.name, name); }));
}

void Headers::add(std::string_view name, std::string_view value) { add(Header{name, value, classify(name)}); }

void Headers::set(std::string_view name, std::string_view value) {
  if (!may_have(classify(name))) return add(name, value);
  bool found = false;
  std::erase_if(list_, [&](Header& header) {
    if (!equals_ignoring_case(header.name, name)) return false;
    if (std::exchange(found, true)) return true;
    header.value = value;
    return false;
  });
  if (!found) add(name, value);
}

void Headers::set(Name id, std::string_view value) {
  if (!may_have(id)) return add(id, value);
  bool found = false;
  std::erase_if(list_, [&](Header& header) {
    if (header.id != id) return false;
    if (std::exchange(found, true)) return true;
    header.value = value;
    return false;
  });
  if (!found) add(id, value);
}

std::size_t Headers::remove(std::string_view name) {
  if (!may_have(classify(name))) return 0;
  return std::erase_if(list_, [&](const Header& header) { return equals_ignoring_case(header.name, name); });
}

std::size_t Headers::remove(Name id) {
  if (!may_have(id)) return 0;
  return std::erase_if(list_, [&](const Header& header) { return header.id == id; });
}

std::string_view Headers::keep(std::string_view text) const {
  if (text.empty()) return {};
  auto* copy = static_cast<char*>(arena_->allocate(text.size(), 1));
  std::memcpy(copy, text.data(), text.size());
  return {copy, text.size()};
}

}  // namespace gateway::http
