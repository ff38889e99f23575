#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/shared_map.h"
#include "tls/certificates.h"

namespace gateway::tls {

/// Which certificate a client gets for the name it asks for (SNI). Copies are cheap and share what did not change: one
/// writer, readers of other copies on any thread.
class ServerNames {
 public:
  /// How a name is filed: two names with the same key are one name.
  [[nodiscard]] static std::string key_of(std::string_view name);

  /// `name` is a host name, or one with a wildcard label: `*.a.com`, `a.*`, `*`. Case does not count.
  void set(std::string_view name, ServerCertificatePtr certificate);
  void erase(std::string_view name);

  /// The certificate for a client's server_name: of the name itself, else of `*` in place of its first label (names of
  /// three labels and more), else of its last, else of `*`. Null when there is none, and when the name is none: the
  /// default is for the caller to show. No allocation.
  /// Source: Kong 3.9, certificate choice; RFC 6066, section 3 (names are ASCII, without addresses).
  [[nodiscard]] const ServerCertificate* find(std::string_view server_name) const noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return names_.size(); }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
  };
  [[nodiscard]] const ServerCertificate* at(std::string_view name) const noexcept;

  SharedMap<std::string, ServerCertificatePtr, Hash> names_;
};

}  // namespace gateway::tls
