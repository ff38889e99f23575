#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/pem.h"
#include "base/result.h"

namespace gateway::tls {

/// Versions of TLS that are spoken, as OpenSSL numbers them: TLS1_2_VERSION, TLS1_3_VERSION.
struct Versions {
  int least;
  int most;
  friend bool operator==(const Versions&, const Versions&) = default;
};

/// "TLSv1.2 TLSv1.3", in any order. Errors: a word that is no version (SSLv3 is spoken by nobody), none, a gap.
[[nodiscard]] Result<Versions> parse_versions(std::string_view text);

/// What a node agrees to with its clients.
struct CipherSuite {
  Versions versions;
  std::string ciphers;         ///< OpenSSL's list for TLS 1.2 and before; those of 1.3 are OpenSSL's own
  bool prefer_server_ciphers;  ///< our order counts, not the client's
  std::string dh_parameters;   ///< as read_dh_parameters() takes them; empty: as configured
};

/// "modern", "intermediate", "old" or "fips"; nullopt for others.
/// Source: Mozilla's server side TLS guidelines, version 5; Kong 3.9, ssl_cipher_suite.
[[nodiscard]] std::optional<CipherSuite> find_cipher_suite(std::string_view name);

/// Errors: OpenSSL knows none of the ciphers of the list.
[[nodiscard]] Status check_ciphers(const std::string& list);

/// A group by its name ("ffdhe2048"), or from PEM as pem_of_setting() finds it: for SSL_CTX_set0_tmp_dh_pkey, which
/// takes over a reference. Errors: `doing` says why.
[[nodiscard]] Result<KeyPtr> read_dh_parameters(const std::string& value);

}  // namespace gateway::tls
