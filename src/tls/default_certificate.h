#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tls/certificates.h"

namespace gateway::tls {

enum class KeyType { rsa, ecdsa };  ///< RSA with 2048 bits, ECDSA on P-256

/// A certificate and its key as PEM.
struct PemTexts {
  std::string certificate;
  std::string key;
};

/// A certificate for localhost and the loopback addresses that vouches for itself, for 20 years.
/// Takes up to a second (RSA). Errors: OpenSSL's.
[[nodiscard]] Result<PemTexts> make_self_signed(KeyType type);

/// Where the certificate comes from that is shown when no name picks another.
struct DefaultCertificate {
  /// As settings have them, pair by pair: paths, PEM texts, or base64 of those. None: one is made.
  std::vector<std::string> certificates;
  std::vector<std::string> keys;
  std::string settings = "";            ///< what the settings' names begin with: "", "admin_", "status_"
  std::string folder;                   ///< where one that is made is kept; created when it is not there
  std::string file = "sluice-default";  ///< file name without its end: `.crt`, `.key`, `-ecdsa.crt`, `-ecdsa.key`
};

/// Reads the configured pairs; without any, those kept in `folder`, made the first time (RSA and ECDSA; keys
/// readable by their owner alone). Blocks: files, and the making of keys.
/// Errors: which setting or file, and why; never a part of a key.
/// Source: Kong 3.9, certificates as values of settings.
[[nodiscard]] Result<ServerCertificatePtr> load_default_certificate(const DefaultCertificate& from);

/// The text a setting stands for: of the file it names, its own, or what its base64 says. Nullopt: nothing of these.
[[nodiscard]] std::optional<std::string> pem_of_setting(const std::string& value);

}  // namespace gateway::tls
