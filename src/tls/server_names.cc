#include "tls/server_names.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/ascii.h"
#include "net/ip.h"

namespace gateway::tls {
namespace {

constexpr std::size_t longest_name = 253;  // RFC 1035, without the root's dot

std::string_view without_root(std::string_view name) noexcept {
  if (name.size() > 1 && name.back() == '.') name.remove_suffix(1);
  return name;
}

bool is_name_character(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'; }

// Labels of some characters each, none ending in a dash, and together no address.
bool is_name(std::string_view name) noexcept {
  char before = '.';
  for (const char c : name) {
    if (!is_name_character(c)) return false;
    if (c == '.' && (before == '.' || before == '-')) return false;
    before = c;
  }
  if (before == '.' || before == '-') return false;
  const bool digits = name.back() >= '0' && name.back() <= '9';  // of an address the last label is a number
  return !digits || !net::IpAddress::parse(name);
}

}  // namespace

std::string ServerNames::key_of(std::string_view name) { return lower_case(without_root(name)); }

void ServerNames::set(std::string_view name, ServerCertificatePtr certificate) { names_.set(key_of(name), std::move(certificate)); }

void ServerNames::erase(std::string_view name) { names_.erase(key_of(name)); }

const ServerCertificate* ServerNames::at(std::string_view name) const noexcept {
  const ServerCertificatePtr* found = names_.find(name);
  return found == nullptr ? nullptr : found->get();
}

const ServerCertificate* ServerNames::find(std::string_view server_name) const noexcept {
  if (names_.size() == 0) return nullptr;
  server_name = without_root(server_name);
  if (server_name.empty() || server_name.size() > longest_name) return nullptr;
  std::array<char, longest_name + 1> buffer;
  const std::string_view name = lower_case(server_name, buffer.data());
  if (!is_name(name)) return nullptr;
  if (const ServerCertificate* found = at(name)) return found;

  const std::size_t first = name.find('.');
  const std::size_t last = name.rfind('.');
  if (first != last) {
    // The star takes the place of the first label's last character: what is behind it is there already.
    const char kept = std::exchange(buffer[first - 1], '*');
    const ServerCertificate* found = at(name.substr(first - 1));
    buffer[first - 1] = kept;
    if (found != nullptr) return found;
  }
  if (last != std::string_view::npos) {
    buffer[last + 1] = '*';
    if (const ServerCertificate* found = at(name.substr(0, last + 2))) return found;
  }
  return at("*");
}

}  // namespace gateway::tls
