#pragma once

#include <openssl/ssl.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/task.h"
#include "net/stream.h"

namespace gateway::upstream {

/// TLS towards a peer over a stream, for probes: shake hands, send one text, read some. OpenSSL works on memory; what it has
/// to say goes over the stream, under the stream's deadline.
class TlsClient {
 public:
  enum class Verify { no, yes };

  /// `name`: for SNI, and what the certificate must be for.
  TlsClient(net::Stream& stream, SSL_CTX* context, const std::string& name, Verify verify);

  /// Errors: protocol_error when the handshake failed; the stream's own.
  Task<Status> shake_hands();
  Task<Status> write(std::string_view text);
  /// Appends what has come to `text`. False: the other side has ended. Errors as above.
  Task<Result<bool>> read(std::string& text);

 private:
  struct SslDeleter {
    void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
  };
  /// After an operation that wants something: sends what is to be sent and waits for more when it waits for that.
  Task<Result<bool>> exchange(int result);
  Task<Status> flush();

  net::Stream& stream_;
  std::unique_ptr<SSL, SslDeleter> ssl_;
  BIO* incoming_ = nullptr;  // of ssl_
  BIO* outgoing_ = nullptr;  // of ssl_
};

}  // namespace gateway::upstream
