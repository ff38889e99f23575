#include "tls/cipher_suite.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>

#include "tls/default_certificate.h"

namespace gateway::tls {
namespace {

constexpr const char* intermediate_ciphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:"
    "DHE-RSA-CHACHA20-POLY1305";

// OpenSSL 3 speaks TLS before 1.2 at security level 0 only.
constexpr const char* old_ciphers =
    "@SECLEVEL=0:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:"
    "DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:"
    "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:ECDHE-ECDSA-AES256-SHA:"
    "ECDHE-RSA-AES256-SHA:DHE-RSA-AES128-SHA256:DHE-RSA-AES256-SHA256:AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA256:"
    "AES256-SHA256:AES128-SHA:AES256-SHA:DES-CBC3-SHA";

constexpr const char* fips_ciphers = "TLSv1.2+FIPS:kRSA+FIPS:!eNULL:!aNULL";

constexpr std::array<std::pair<std::string_view, int>, 4> known_versions = {
    {{"TLSv1", TLS1_VERSION}, {"TLSv1.1", TLS1_1_VERSION}, {"TLSv1.2", TLS1_2_VERSION}, {"TLSv1.3", TLS1_3_VERSION}}};

Error wrong(std::string what) { return Error{boost::system::errc::make_error_code(boost::system::errc::invalid_argument), Origin::gateway, std::move(what)}; }

// Null when there is no group of that name.
KeyPtr named_group(const std::string& name) {
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(EVP_PKEY_CTX_new_from_name(nullptr, "DH", nullptr), EVP_PKEY_CTX_free);
  std::string group = name;
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group.data(), 0), OSSL_PARAM_construct_end()};
  EVP_PKEY* made = nullptr;
  if (context && EVP_PKEY_paramgen_init(context.get()) == 1 && EVP_PKEY_CTX_set_params(context.get(), parameters) == 1) {
    EVP_PKEY_generate(context.get(), &made);
  }
  ERR_clear_error();
  return made == nullptr ? nullptr : KeyPtr(made, EVP_PKEY_free);
}

}  // namespace

Result<Versions> parse_versions(std::string_view text) {
  std::array<bool, known_versions.size()> wanted{};
  const std::string_view whole = text;
  while (true) {
    const std::size_t first = text.find_first_not_of(" ,\t");
    if (first == std::string_view::npos) break;
    text.remove_prefix(first);
    const std::string_view word = text.substr(0, text.find_first_of(" ,\t"));
    text.remove_prefix(word.size());
    const auto known = std::find_if(known_versions.begin(), known_versions.end(), [&](const auto& each) { return each.first == word; });
    if (known == known_versions.end()) return wrong("'" + std::string(word) + "' is not a version that is spoken (TLSv1, TLSv1.1, TLSv1.2, TLSv1.3)");
    wanted[static_cast<std::size_t>(known - known_versions.begin())] = true;
  }
  const auto least = std::find(wanted.begin(), wanted.end(), true);
  if (least == wanted.end()) return wrong("no version of TLS is named");
  const auto end = std::find(least, wanted.end(), false);
  if (std::find(end, wanted.end(), true) != wanted.end()) return wrong("a version between others is left out: '" + std::string(whole) + "'");
  return Versions{known_versions[static_cast<std::size_t>(least - wanted.begin())].second,
                  known_versions[static_cast<std::size_t>(end - wanted.begin()) - 1].second};
}

std::optional<CipherSuite> find_cipher_suite(std::string_view name) {
  // With 1.3 alone the list is of no use, but OpenSSL wants one.
  if (name == "modern") return CipherSuite{{TLS1_3_VERSION, TLS1_3_VERSION}, intermediate_ciphers, false, ""};
  if (name == "intermediate") return CipherSuite{{TLS1_2_VERSION, TLS1_3_VERSION}, intermediate_ciphers, false, "ffdhe2048"};
  if (name == "old") return CipherSuite{{TLS1_VERSION, TLS1_3_VERSION}, old_ciphers, true, ""};
  if (name == "fips") return CipherSuite{{TLS1_2_VERSION, TLS1_2_VERSION}, fips_ciphers, true, ""};
  return std::nullopt;
}

Status check_ciphers(const std::string& list) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (context && SSL_CTX_set_cipher_list(context.get(), list.c_str()) == 1) return {};
  return wrong(openssl_reason());
}

Result<KeyPtr> read_dh_parameters(const std::string& value) {
  if (KeyPtr group = named_group(value)) return group;
  const std::optional<std::string> text = pem_of_setting(value);
  if (!text) return wrong("neither a group, a file nor PEM");
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_mem_buf(text->data(), static_cast<int>(text->size())), BIO_free);
  EVP_PKEY* read = bio ? PEM_read_bio_Parameters(bio.get(), nullptr) : nullptr;
  KeyPtr parameters(read, EVP_PKEY_free);
  if (!parameters) return wrong(openssl_reason());
  if (EVP_PKEY_is_a(parameters.get(), "DH") == 1 || EVP_PKEY_is_a(parameters.get(), "DHX") == 1) return parameters;
  return wrong("these are not parameters for Diffie-Hellman");
}

}  // namespace gateway::tls
