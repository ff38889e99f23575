#pragma once

#include <openssl/ssl.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "tls/certificates.h"
#include "tls/cipher_suite.h"
#include "tls/session.h"

namespace gateway::tls {

/// Whom the gateway trusts when it connects, and as whom it comes.
struct ClientOptions {
  bool verify = false;  ///< the peer's certificate, and that it is for the name asked for
  std::optional<unsigned> depth;
  bool system_authorities = true;                        ///< those the system trusts
  std::vector<X509Ptr> authorities;                      ///< and these
  std::shared_ptr<const ServerCertificate> certificate;  ///< shown to peers that ask; null: none
  Versions versions{TLS1_2_VERSION, TLS1_3_VERSION};
  std::string ciphers;  ///< of TLS 1.2 and before; empty: OpenSSL's own choice
};

/// The gateway's side of TLS towards upstreams of one kind. Immutable; any thread.
class ClientContext {
 public:
  /// Errors: the certificate or the authorities cannot be used.
  static Result<std::shared_ptr<const ClientContext>> make(const ClientOptions& options);

  /// A session that will greet `server_name` (a host name or an address). `http2`: that and nothing else is offered.
  /// `previous` (may be null): to be resumed when the peer likes.
  [[nodiscard]] std::unique_ptr<Session> connect(int socket, const std::string& server_name, bool http2, SSL_SESSION* previous) const;

  /// Equal for contexts that trust the same and come as the same: their connections may be exchanged.
  using Identity = std::array<unsigned char, 32>;
  [[nodiscard]] const Identity& identity() const noexcept { return identity_; }

 private:
  struct ContextDeleter {
    void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
  };
  explicit ClientContext(SSL_CTX* context) : context_(context) {}

  std::unique_ptr<SSL_CTX, ContextDeleter> context_;
  Identity identity_{};
  bool verify_ = false;
};

}  // namespace gateway::tls
