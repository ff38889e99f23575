#pragma once

#include <string>

#include "app/settings/settings.h"
#include "tls/server_context.h"

namespace gateway::app {

/// How listeners speak TLS, as the settings say. What is wrong with them goes to settings.values.errors.
[[nodiscard]] tls::ServerOptions tls_options(Settings& settings);

/// The certificate of a family of listeners: of `<family>ssl_cert` and `<family>ssl_cert_key` ("" for the proxy,
/// "admin_", "status_"), or one made for the occasion and kept under the prefix. Blocks.
[[nodiscard]] Result<tls::ServerCertificatePtr> listener_certificate(const Settings& settings, const std::string& family);

/// One certificate for every name.
class OneCertificate final : public tls::CertificateSource {
 public:
  explicit OneCertificate(tls::ServerCertificatePtr certificate) : certificate_(std::move(certificate)) {}
  [[nodiscard]] const tls::ServerCertificate* certificate_for(std::string_view /*server_name*/) const override { return certificate_.get(); }

 private:
  tls::ServerCertificatePtr certificate_;
};

}  // namespace gateway::app
