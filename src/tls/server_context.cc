#include "tls/server_context.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace gateway::tls {
namespace {

// Larger than a record, so that several of a fast sender come with one system call.
constexpr std::size_t read_buffer_bytes = 32768;
constexpr unsigned char h2_name[] = {'h', '2'};
constexpr unsigned char h1_name[] = {'h', 't', 't', 'p', '/', '1', '.', '1'};

Error failed(const std::string& doing) { return Error{last_error(), Origin::gateway, doing}; }

int self_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

int http2_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

std::string_view id_of(const SSL_SESSION* session) {
  unsigned size = 0;
  const unsigned char* id = SSL_SESSION_get_id(session, &size);
  return {reinterpret_cast<const char*>(id), size};
}

// Fetched once: by its usual name OpenSSL 3 looks it up for every ticket, under locks.
const EVP_CIPHER* ticket_cipher() {
  static EVP_CIPHER* const fetched = EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr);
  return fetched;
}

bool offers(const unsigned char* list, unsigned size, const unsigned char* name, unsigned name_size) {
  for (unsigned at = 0; at < size; at += 1U + list[at]) {
    if (list[at] == name_size && at + 1 + name_size <= size && std::memcmp(list + at + 1, name, name_size) == 0) return true;
  }
  return false;
}

}  // namespace

Result<std::unique_ptr<ServerContext>> ServerContext::make(const ServerOptions& options, const CertificateSource& source) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  std::unique_ptr<ServerContext> made(new ServerContext(context, source));
  SSL_CTX_set_ex_data(context, self_index(), made.get());
  SSL_CTX_set_min_proto_version(context, options.suite.versions.least);
  SSL_CTX_set_max_proto_version(context, options.suite.versions.most);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS |
                                SSL_MODE_NO_AUTO_CHAIN);  // what is configured is what is shown: no search for issuers in each handshake
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_read_buffer_len(context, read_buffer_bytes);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  if (options.suite.prefer_server_ciphers) SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  if (!options.suite.ciphers.empty() && SSL_CTX_set_cipher_list(context, options.suite.ciphers.c_str()) != 1) return failed("ssl_ciphers");
  if (!options.dh_parameters) {
    SSL_CTX_set_dh_auto(context, 1);
  } else {
    EVP_PKEY_up_ref(options.dh_parameters.get());
    if (SSL_CTX_set0_tmp_dh_pkey(context, options.dh_parameters.get()) != 1) {
      EVP_PKEY_free(options.dh_parameters.get());
      return failed("ssl_dhparam");
    }
  }
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  if (options.sessions) made->keep_sessions(options.sessions);
  SSL_CTX_set_timeout(context, static_cast<long>(options.session_timeout.count()));
  static constexpr unsigned char id_context[] = "sluice";
  SSL_CTX_set_session_id_context(context, id_context, sizeof id_context - 1);
  if (!options.tickets) SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  // In TLS 1.3 a cached session is told of in a ticket that holds nothing but its id.
  if (!options.tickets && !options.sessions) SSL_CTX_set_num_tickets(context, 0);
  made->shown_ = source.usual_certificate();
  if (made->shown_) {
    for (const KeyPair& pair : made->shown_->pairs) {
      if (SSL_CTX_use_certificate(context, pair.leaf.get()) != 1 || SSL_CTX_use_PrivateKey(context, pair.key.get()) != 1)
        return failed("the default certificate");
      for (const auto& issuer : pair.chain) {
        if (SSL_CTX_add1_chain_cert(context, issuer.get()) != 1) return failed("the default certificate");
      }
    }
  }
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, &ServerContext::seal_ticket);
  SSL_CTX_set_tlsext_servername_callback(context, &ServerContext::accept_name);
  SSL_CTX_set_cert_cb(context, &ServerContext::choose_certificate, made.get());
  SSL_CTX_set_alpn_select_cb(context, &ServerContext::choose_protocol, made.get());
  return made;
}

ServerContext& ServerContext::of(const SSL_CTX* context) { return *static_cast<ServerContext*>(SSL_CTX_get_ex_data(context, self_index())); }

std::unique_ptr<Session> ServerContext::accept(int socket, bool http2) const {
  SslPtr ssl(SSL_new(context_.get()));
  SSL_set_accept_state(ssl.get());
  SSL_set_ex_data(ssl.get(), http2_index(), http2 ? const_cast<ServerContext*>(this) : nullptr);
  return std::make_unique<Session>(std::move(ssl), socket);
}

// Any name will do. Without an answer OpenSSL keeps none with the session, and who resumes it below TLS 1.3 has none then.
int ServerContext::accept_name(SSL* /*ssl*/, int* /*alert*/, void* /*self*/) { return SSL_TLSEXT_ERR_OK; }

int ServerContext::choose_certificate(SSL* ssl, void* self) {
  auto& context = *static_cast<ServerContext*>(self);
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  const ServerCertificate* found = context.source_.certificate_for(name != nullptr ? name : std::string_view{});
  if (found == nullptr) return 0;
  // Each session begins with the usual one: to set another costs a check that its key is its own.
  if (found == context.shown_.get()) return 1;
  SSL_certs_clear(ssl);
  for (const KeyPair& pair : found->pairs) {
    if (SSL_use_certificate(ssl, pair.leaf.get()) != 1 || SSL_use_PrivateKey(ssl, pair.key.get()) != 1) return 0;
    for (const auto& issuer : pair.chain) {
      if (SSL_add1_chain_cert(ssl, issuer.get()) != 1) return 0;
    }
  }
  return 1;
}

int ServerContext::choose_protocol(SSL* ssl, const unsigned char** chosen, unsigned char* size, const unsigned char* offered, unsigned offered_size,
                                   void* /*self*/) {
  if (Session::of(ssl).speaks_anything()) return SSL_TLSEXT_ERR_NOACK;
  const bool http2 = SSL_get_ex_data(ssl, http2_index()) != nullptr;
  if (http2 && offers(offered, offered_size, h2_name, sizeof h2_name)) {
    *chosen = h2_name;
    *size = sizeof h2_name;
    return SSL_TLSEXT_ERR_OK;
  }
  if (offers(offered, offered_size, h1_name, sizeof h1_name)) {
    *chosen = h1_name;
    *size = sizeof h1_name;
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_NOACK;
}

// OpenSSL's own cache would be one for each worker.
void ServerContext::keep_sessions(std::shared_ptr<SessionCache> sessions) {
  sessions_ = std::move(sessions);
  SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context_.get(), &ServerContext::keep_session);
  SSL_CTX_sess_set_get_cb(context_.get(), &ServerContext::find_session);
  SSL_CTX_sess_set_remove_cb(context_.get(), &ServerContext::forget_session);
}

// Returns 0: the session remains OpenSSL's.
int ServerContext::keep_session(SSL* ssl, SSL_SESSION* session) {
  // Tickets of TLS 1.3 hold the whole session: OpenSSL tells of it all the same.
  if (SSL_version(ssl) >= TLS1_3_VERSION && (SSL_get_options(ssl) & SSL_OP_NO_TICKET) == 0) return 0;
  std::string bytes(static_cast<std::size_t>(std::max(i2d_SSL_SESSION(session, nullptr), 0)), '\0');
  auto* end = reinterpret_cast<unsigned char*>(bytes.data());
  if (!bytes.empty() && i2d_SSL_SESSION(session, &end) > 0) of(SSL_get_SSL_CTX(ssl)).sessions_->add(id_of(session), std::move(bytes));
  return 0;
}

SSL_SESSION* ServerContext::find_session(SSL* ssl, const unsigned char* id, int size, int* shared) {
  *shared = 0;  // what is returned is the caller's
  std::string found = of(SSL_get_SSL_CTX(ssl)).sessions_->find({reinterpret_cast<const char*>(id), static_cast<std::size_t>(size)});
  const auto* bytes = reinterpret_cast<const unsigned char*>(found.data());
  SSL_SESSION* session = found.empty() ? nullptr : d2i_SSL_SESSION(nullptr, &bytes, static_cast<long>(found.size()));
  OPENSSL_cleanse(found.data(), found.size());
  return session;
}

void ServerContext::forget_session(SSL_CTX* context, SSL_SESSION* session) { of(context).sessions_->remove(id_of(session)); }

// Source: OpenSSL, SSL_CTX_set_tlsext_ticket_key_evp_cb: 1 goes on, 2 renews the ticket, 0 makes a full handshake.
int ServerContext::seal_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, int sealing) {
  const TicketKeys& keys = of(SSL_get_SSL_CTX(ssl)).keys_;
  if (keys.empty()) return 0;
  auto key = keys.begin();
  if (sealing == 1) {
    if (RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1) return -1;
    std::copy(key->name.begin(), key->name.end(), name);
    if (EVP_EncryptInit_ex2(cipher, ticket_cipher(), key->cipher.data(), iv, nullptr) != 1) return -1;
  } else {
    key = std::find_if(keys.begin(), keys.end(), [&](const TicketKey& each) { return std::equal(each.name.begin(), each.name.end(), name); });
    if (key == keys.end()) return 0;
    if (EVP_DecryptInit_ex2(cipher, ticket_cipher(), key->cipher.data(), iv, nullptr) != 1) return -1;
  }
  std::array<unsigned char, 32> secret = key->mac;
  char digest[] = "SHA256";
  OSSL_PARAM parameters[] = {OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret.data(), secret.size()),
                             OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
  if (EVP_MAC_CTX_set_params(mac, parameters) != 1) return -1;
  // RFC 8446, C.4: a ticket of TLS 1.3 is used once, so the next one is given.
  return sealing == 0 && (key != keys.begin() || SSL_version(ssl) >= TLS1_3_VERSION) ? 2 : 1;
}

}  // namespace gateway::tls
