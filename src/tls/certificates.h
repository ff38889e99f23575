#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/pem.h"
#include "base/result.h"

namespace gateway::tls {

using gateway::KeyPtr;
using gateway::X509Ptr;

/// A certificate with what is needed to show it. Immutable; any thread.
struct KeyPair {
  X509Ptr leaf;
  std::vector<X509Ptr> chain;  ///< what goes after the leaf, nearest issuer first
  KeyPtr key;

  /// From PEM: the leaf, and its chain behind it. Errors: `doing` says which part is wrong and why, without a
  /// word of what was in it.
  [[nodiscard]] static Result<KeyPair> parse(std::string_view certificate, std::string_view key);
};

/// What a server shows for a name, or the gateway to an upstream: one pair for each type of key, so that a client
/// can have ECDSA and one that knows only RSA is served too. Immutable; any thread.
struct ServerCertificate {
  std::vector<KeyPair> pairs;  ///< one or two, their keys of different types
};

using ServerCertificatePtr = std::shared_ptr<const ServerCertificate>;

/// From pairs as they are configured. Errors: none, or two of the same type of key.
[[nodiscard]] Result<ServerCertificatePtr> make_server_certificate(std::vector<KeyPair> pairs);

/// From the PEM texts of a `certificates` row; `alternative` where it has one. Errors as KeyPair::parse().
struct PemPair {
  std::string_view certificate;
  std::string_view key;
};
[[nodiscard]] Result<ServerCertificatePtr> parse_server_certificate(const PemPair& first, const std::optional<PemPair>& alternative);

}  // namespace gateway::tls
