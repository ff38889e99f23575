#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/uuid.h"

namespace gateway::entity {

/// A certificate with its key, or two with keys of different types. Kong 3.9 entity `certificates`.
struct Certificate {
  Uuid id;
  std::string cert, key;          ///< PEM; the certificate may have its chain behind it
  std::string cert_alt, key_alt;  ///< empty when unset

  /// From a validated document, as the store keeps it.
  static Certificate from_json(const nlohmann::json& document);
};

/// A server name that a certificate is shown for; `*.a.com`, `a.*`, `*` are names too. Kong 3.9 entity `snis`.
struct Sni {
  Uuid id;
  std::string name;
  Uuid certificate;

  static Sni from_json(const nlohmann::json& document);
};

/// An authority that certificates of others may come from. Kong 3.9 entity `ca_certificates`.
struct CaCertificate {
  Uuid id;
  std::string cert;  ///< PEM, one certificate

  static CaCertificate from_json(const nlohmann::json& document);
};

}  // namespace gateway::entity
