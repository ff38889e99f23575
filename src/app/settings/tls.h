#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "app/settings/values.h"
#include "tls/cipher_suite.h"
#include "tls/default_certificate.h"

namespace gateway::app {

/// Whose word counts for who somebody is.
struct Trust {
  bool system = false;               ///< that of the authorities the system knows
  std::vector<X509Ptr> authorities;  ///< and of these
  unsigned verify_depth = 1;         ///< how many authorities may stand between them and a certificate
};

/// What the settings say of TLS.
struct TlsSettings {
  // Towards clients.
  tls::CipherSuite suite{};
  KeyPtr dh_parameters;  ///< null: OpenSSL picks a group that is as strong as the key
  bool session_tickets = true;
  std::chrono::seconds session_timeout{86400};
  std::uint64_t session_cache_bytes = 0;
  tls::DefaultCertificate proxy_certificate, admin_certificate, status_certificate;  ///< to be loaded

  // Towards services.
  tls::ServerCertificatePtr client_certificate;  ///< shown when neither service nor upstream names one; null: none
  bool verify_services = false;                  ///< unless a service says
  Trust service_trust;                           ///< unless a service names authorities
  tls::Versions service_versions{};
  std::string service_ciphers;

  // Towards others: what plugins and the datastore talk to.
  Trust trust;
  tls::Versions versions{};
};

/// Which families of listeners speak TLS: only what they need is looked at, so that settings nobody uses stop nobody.
struct TlsListeners {
  bool proxy = false;
  bool admin = false;
  bool status = false;
};

/// Reads and checks, files that are named too; what is wrong goes to `values.errors`. Creates no file: a certificate
/// that has to be made is made when `proxy_certificate` and its like are loaded.
/// Source: Kong 3.9, ssl_* settings; those of nginx by the names below.
[[nodiscard]] TlsSettings read_tls(Values& values, const std::string& prefix, const TlsListeners& listeners);

}  // namespace gateway::app
