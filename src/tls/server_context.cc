#include "tls/server_context.h"

#include <openssl/core_names.h>
#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
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

bool offers(const unsigned char* list, unsigned size, const unsigned char* name, unsigned name_size) {
  for (unsigned at = 0; at < size; at += 1U + list[at]) {
    if (list[at] == name_size && at + 1 + name_size <= size && std::memcmp(list + at + 1, name, name_size) == 0) return true;
  }
  return false;
}

// PEM text, or a group's name ("ffdhe2048").
EVP_PKEY* read_dh(const std::string& text) {
  EVP_PKEY* key = nullptr;
  if (text.find("-----BEGIN") == std::string::npos) {
    EVP_PKEY_CTX* maker = EVP_PKEY_CTX_new_from_name(nullptr, "DH", nullptr);
    std::string name = text;
    OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name.data(), 0), OSSL_PARAM_construct_end()};
    if (EVP_PKEY_paramgen_init(maker) == 1 && EVP_PKEY_CTX_set_params(maker, parameters) == 1) EVP_PKEY_generate(maker, &key);
    EVP_PKEY_CTX_free(maker);
    return key;
  }
  OSSL_DECODER_CTX* decoder = OSSL_DECODER_CTX_new_for_pkey(&key, "PEM", nullptr, "DH", OSSL_KEYMGMT_SELECT_ALL_PARAMETERS, nullptr, nullptr);
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t size = text.size();
  OSSL_DECODER_from_data(decoder, &bytes, &size);
  OSSL_DECODER_CTX_free(decoder);
  return key;
}

}  // namespace

TicketKey TicketKey::random() {
  TicketKey key;
  RAND_bytes(key.name.data(), static_cast<int>(key.name.size()));
  RAND_bytes(key.cipher.data(), static_cast<int>(key.cipher.size()));
  RAND_bytes(key.mac.data(), static_cast<int>(key.mac.size()));
  return key;
}

// Source: Mozilla's server side TLS guidelines, which Kong 3.9 names its suites after.
bool apply_cipher_suite(std::string_view suite, ServerOptions& options) {
  constexpr const char* aead =
      "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
      "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384";
  options.oldest = TLS1_2_VERSION;
  options.newest = TLS1_3_VERSION;
  options.prefer_server_ciphers = false;
  if (suite == "modern") {
    options.oldest = TLS1_3_VERSION;
    options.ciphers.clear();
  } else if (suite == "intermediate") {
    options.ciphers = std::string(aead) + ":DHE-RSA-CHACHA20-POLY1305";
    options.dh_parameters = "ffdhe2048";
  } else if (suite == "old") {
    options.oldest = TLS1_VERSION;
    options.prefer_server_ciphers = true;
    // TLS 1.0 and 1.1 sign with SHA-1, which OpenSSL's level 1 forbids.
    options.ciphers = std::string(aead) +
                      ":DHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:"
                      "ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA:DHE-RSA-AES128-SHA256:"
                      "DHE-RSA-AES256-SHA256:AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA256:AES256-SHA256:AES128-SHA:AES256-SHA:DES-CBC3-SHA:@SECLEVEL=0";
  } else if (suite == "fips") {
    options.newest = TLS1_2_VERSION;
    options.prefer_server_ciphers = true;
    options.ciphers = "TLSv1.2+FIPS:kRSA+FIPS:!eNULL:!aNULL";
  } else {
    return false;
  }
  return true;
}

Result<std::unique_ptr<ServerContext>> ServerContext::make(const ServerOptions& options, const CertificateSource& source) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  std::unique_ptr<ServerContext> made(new ServerContext(context, source));
  SSL_CTX_set_ex_data(context, self_index(), made.get());
  SSL_CTX_set_min_proto_version(context, options.oldest);
  SSL_CTX_set_max_proto_version(context, options.newest);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_read_buffer_len(context, read_buffer_bytes);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_SINGLE_ECDH_USE);
  if (options.prefer_server_ciphers) SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  if (!options.ciphers.empty() && SSL_CTX_set_cipher_list(context, options.ciphers.c_str()) != 1) return failed("ssl_ciphers");
  if (!options.ciphersuites.empty() && SSL_CTX_set_ciphersuites(context, options.ciphersuites.c_str()) != 1) return failed("ssl_ciphers");
  if (options.dh_parameters.empty()) {
    SSL_CTX_set_dh_auto(context, 1);
  } else {
    EVP_PKEY* dh = read_dh(options.dh_parameters);
    if (dh == nullptr || SSL_CTX_set0_tmp_dh_pkey(context, dh) != 1) {
      EVP_PKEY_free(dh);
      return failed("ssl_dhparam");
    }
  }
  // Tickets carry the sessions: nothing to share between workers, nothing that grows.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(context, static_cast<long>(options.session_timeout.count()));
  static constexpr unsigned char id_context[] = "sluice";
  SSL_CTX_set_session_id_context(context, id_context, sizeof id_context - 1);
  if (!options.tickets) {
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context, 0);
  }
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, &ServerContext::seal_ticket);
  SSL_CTX_set_cert_cb(context, &ServerContext::choose_certificate, made.get());
  SSL_CTX_set_alpn_select_cb(context, &ServerContext::choose_protocol, made.get());
  return made;
}

std::unique_ptr<Session> ServerContext::accept(int socket, bool http2) const {
  SslPtr ssl(SSL_new(context_.get()));
  SSL_set_accept_state(ssl.get());
  SSL_set_ex_data(ssl.get(), http2_index(), http2 ? const_cast<ServerContext*>(this) : nullptr);
  return std::make_unique<Session>(std::move(ssl), socket);
}

int ServerContext::choose_certificate(SSL* ssl, void* self) {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  const ServerCertificate* found = static_cast<ServerContext*>(self)->source_.certificate_for(name != nullptr ? name : std::string_view{});
  if (found == nullptr) return 0;
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

// Source: OpenSSL, SSL_CTX_set_tlsext_ticket_key_evp_cb: 1 goes on, 2 renews the ticket, 0 makes a full handshake.
int ServerContext::seal_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, int sealing) {
  const auto* self = static_cast<const ServerContext*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), self_index()));
  const TicketKeys& keys = self->keys_;
  if (keys.empty()) return 0;
  auto key = keys.begin();
  if (sealing == 1) {
    if (RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1) return -1;
    std::copy(key->name.begin(), key->name.end(), name);
    if (EVP_EncryptInit_ex2(cipher, EVP_aes_256_cbc(), key->cipher.data(), iv, nullptr) != 1) return -1;
  } else {
    key = std::find_if(keys.begin(), keys.end(), [&](const TicketKey& each) { return std::equal(each.name.begin(), each.name.end(), name); });
    if (key == keys.end()) return 0;
    if (EVP_DecryptInit_ex2(cipher, EVP_aes_256_cbc(), key->cipher.data(), iv, nullptr) != 1) return -1;
  }
  std::array<unsigned char, 32> secret = key->mac;
  char digest[] = "SHA256";
  OSSL_PARAM parameters[] = {OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret.data(), secret.size()),
                             OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
  if (EVP_MAC_CTX_set_params(mac, parameters) != 1) return -1;
  return sealing == 0 && key != keys.begin() ? 2 : 1;
}

}  // namespace gateway::tls
