#include "tls/client_context.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace gateway::tls {
namespace {

constexpr std::size_t read_buffer_bytes = 32768;
constexpr unsigned char h2_list[] = {2, 'h', '2'};
constexpr unsigned char h1_list[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

Error failed(const std::string& doing) { return Error{last_error(), Origin::gateway, doing}; }

bool is_address(const std::string& name) {
  unsigned char bytes[16];
  return ::inet_pton(AF_INET, name.c_str(), bytes) == 1 || ::inet_pton(AF_INET6, name.c_str(), bytes) == 1;
}

int keep_session(SSL* ssl, SSL_SESSION* session) {
  Session::of(ssl).keep_ticket(session);
  return 1;
}

/// A digest of everything that decides trust.
class Digest {
 public:
  Digest() : context_(EVP_MD_CTX_new()) { EVP_DigestInit_ex(context_, EVP_sha256(), nullptr); }
  ~Digest() { EVP_MD_CTX_free(context_); }
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;

  void add(const std::string& text) {
    const std::uint64_t size = text.size();
    EVP_DigestUpdate(context_, &size, sizeof size);
    EVP_DigestUpdate(context_, text.data(), text.size());
  }
  void add(const X509* certificate) {
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    X509_digest(certificate, EVP_sha256(), bytes, &size);
    add(std::string(reinterpret_cast<const char*>(bytes), size));
  }
  ClientContext::Identity end() {
    ClientContext::Identity out{};
    EVP_DigestFinal_ex(context_, out.data(), nullptr);
    return out;
  }

 private:
  EVP_MD_CTX* context_;
};

Status trust(SSL_CTX* context, const ClientOptions& options) {
  if (options.system_authorities) SSL_CTX_set_default_verify_paths(context);
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  for (const auto& authority : options.authorities) {
    if (X509_STORE_add_cert(store, authority.get()) != 1) return failed("adding a certificate authority");
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<const ClientContext>> ClientContext::make(const ClientOptions& options) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  std::shared_ptr<ClientContext> made(new ClientContext(context));
  SSL_CTX_set_min_proto_version(context, options.versions.least);
  SSL_CTX_set_max_proto_version(context, options.versions.most);
  if (!options.ciphers.empty() && SSL_CTX_set_cipher_list(context, options.ciphers.c_str()) != 1) return failed("choosing ciphers");
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_read_buffer_len(context, read_buffer_bytes);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, &keep_session);

  Digest digest;
  made->verify_ = options.verify;
  digest.add(options.verify ? "verify" : "no");
  digest.add(options.depth ? std::to_string(*options.depth) : "any depth");
  digest.add(options.system_authorities ? "system" : "these alone");
  digest.add(std::to_string(options.versions.least) + '-' + std::to_string(options.versions.most) + ' ' + options.ciphers);
  if (options.verify) {
    const Status trusted = trust(context, options);
    if (!trusted) return trusted.error();
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    if (options.depth) SSL_CTX_set_verify_depth(context, static_cast<int>(*options.depth));
  }
  digest.add(std::to_string(options.authorities.size()));
  for (const auto& authority : options.authorities) digest.add(authority.get());
  if (options.certificate) {
    for (const KeyPair& pair : options.certificate->pairs) {
      if (SSL_CTX_use_certificate(context, pair.leaf.get()) != 1 || SSL_CTX_use_PrivateKey(context, pair.key.get()) != 1)
        return failed("using a client certificate");
      digest.add(pair.leaf.get());
      for (const auto& issuer : pair.chain) {
        if (SSL_CTX_add1_chain_cert(context, issuer.get()) != 1) return failed("using a client certificate");
        digest.add(issuer.get());
      }
    }
  }
  made->identity_ = digest.end();
  return std::shared_ptr<const ClientContext>(std::move(made));
}

std::unique_ptr<Session> ClientContext::connect(int socket, const std::string& server_name, bool http2, SSL_SESSION* previous) const {
  SslPtr ssl(SSL_new(context_.get()));
  SSL_set_connect_state(ssl.get());
  const bool address = is_address(server_name);
  // RFC 6066, section 3: addresses are no server names.
  if (!address && !server_name.empty()) SSL_set_tlsext_host_name(ssl.get(), server_name.c_str());
  if (verify_) {
    X509_VERIFY_PARAM* wanted = SSL_get0_param(ssl.get());
    if (address) {
      X509_VERIFY_PARAM_set1_ip_asc(wanted, server_name.c_str());
    } else {
      X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
      // An empty name would switch the check off. Nobody has a certificate for this one (RFC 6761, 6.4).
      X509_VERIFY_PARAM_set1_host(wanted, server_name.empty() ? "invalid" : server_name.c_str(), 0);
    }
  }
  if (http2) {
    SSL_set_alpn_protos(ssl.get(), h2_list, sizeof h2_list);
  } else {
    SSL_set_alpn_protos(ssl.get(), h1_list, sizeof h1_list);
  }
  if (previous != nullptr) SSL_set_session(ssl.get(), previous);
  return std::make_unique<Session>(std::move(ssl), socket);
}

}  // namespace gateway::tls
