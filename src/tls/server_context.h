#pragma once

#include <openssl/ssl.h>

#include <chrono>
#include <memory>
#include <string_view>

#include "base/result.h"
#include "tls/certificates.h"
#include "tls/cipher_suite.h"
#include "tls/session.h"
#include "tls/session_cache.h"
#include "tls/ticket_keys.h"

namespace gateway::tls {

/// Tells which certificate answers for a name. Asked on the thread that shakes hands.
class CertificateSource {
 public:
  virtual ~CertificateSource() = default;
  /// Never null. `server_name` as the client sent it; empty when it sent none. Valid until the caller returns to its loop.
  [[nodiscard]] virtual const ServerCertificate* certificate_for(std::string_view server_name) const = 0;
  /// The one most clients are shown, if that can be said beforehand; null: none.
  [[nodiscard]] virtual ServerCertificatePtr usual_certificate() const { return nullptr; }
};

/// How the gateway speaks TLS to those who connect.
struct ServerOptions {
  CipherSuite suite{};
  KeyPtr dh_parameters;  ///< null: by the size of the certificate's key
  bool tickets = true;
  std::chrono::seconds session_timeout{86400};
  std::shared_ptr<SessionCache> sessions;  ///< of those who come back without a ticket; null: they do not
};

/// One worker's side of all its TLS handshakes. Its thread is the worker's.
class ServerContext {
 public:
  /// `source` must live as long. Errors: a cipher or a version that OpenSSL does not know.
  static Result<std::unique_ptr<ServerContext>> make(const ServerOptions& options, const CertificateSource& source);

  /// A session that waits for the client's greeting. `http2`: whether it may be agreed on.
  [[nodiscard]] std::unique_ptr<Session> accept(int socket, bool http2) const;
  void set_ticket_keys(TicketKeys keys) { keys_ = std::move(keys); }

 private:
  struct ContextDeleter {
    void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
  };
  ServerContext(SSL_CTX* context, const CertificateSource& source) : context_(context), source_(source) {}

  static int accept_name(SSL* ssl, int* alert, void* self);
  static int choose_certificate(SSL* ssl, void* self);
  static int choose_protocol(SSL* ssl, const unsigned char** chosen, unsigned char* size, const unsigned char* offered, unsigned offered_size, void* self);
  static ServerContext& of(const SSL_CTX* context);
  void keep_sessions(std::shared_ptr<SessionCache> sessions);
  static int keep_session(SSL* ssl, SSL_SESSION* session);
  static SSL_SESSION* find_session(SSL* ssl, const unsigned char* id, int size, int* shared);
  static void forget_session(SSL_CTX* context, SSL_SESSION* session);
  static int seal_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, int sealing);

  std::unique_ptr<SSL_CTX, ContextDeleter> context_;
  const CertificateSource& source_;
  std::shared_ptr<SessionCache> sessions_;
  TicketKeys keys_;
  ServerCertificatePtr shown_;  // what sessions begin with
};

}  // namespace gateway::tls
