#include "base/pem.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

namespace gateway {
namespace {

struct BioDeleter {
  void operator()(BIO* bio) const noexcept { BIO_free(bio); }
};
using BioPtr = std::unique_ptr<BIO, BioDeleter>;

constexpr std::size_t longest_pem = std::size_t{64} << 20;

Error unreadable(std::string reason) {
  return Error{boost::system::errc::make_error_code(boost::system::errc::invalid_argument), Origin::gateway, std::move(reason)};
}

BioPtr bio_of(std::string_view text) {
  if (text.size() > longest_pem) text = text.substr(0, longest_pem);
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Without it OpenSSL would ask for the passphrase at the terminal and wait.
int no_passphrase(char*, int, int, void*) { return -1; }

}  // namespace

std::string openssl_reason() {
  const unsigned long code = ERR_peek_error();
  ERR_clear_error();
  if (code == 0) return "unknown reason";
  char text[256];
  ERR_error_string_n(code, text, sizeof text);
  return text;
}

Result<std::vector<X509Ptr>> read_certificates(std::string_view pem, std::size_t most) {
  ERR_clear_error();
  const BioPtr bio = bio_of(pem);
  if (!bio) return unreadable(openssl_reason());
  std::vector<X509Ptr> all;
  while (true) {
    X509Ptr one(PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr), X509_free);
    if (!one) break;
    if (all.size() == most) return unreadable("more than " + std::to_string(most) + " certificates in one text");
    all.push_back(std::move(one));
  }
  // Behind the last one there is no next one: that alone is no error.
  const unsigned long code = ERR_peek_last_error();
  const bool at_end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
  std::string reason = openssl_reason();
  if (all.empty() || !at_end) return unreadable(std::move(reason));
  return all;
}

Result<KeyPtr> read_private_key(std::string_view pem) {
  ERR_clear_error();
  const BioPtr bio = bio_of(pem);
  if (!bio) return unreadable(openssl_reason());
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr), EVP_PKEY_free);
  if (!key) return unreadable(openssl_reason());
  ERR_clear_error();
  return key;
}

bool belongs(const X509& certificate, const EVP_PKEY& key) noexcept {
  const bool good = X509_check_private_key(&certificate, &key) == 1;
  ERR_clear_error();
  return good;
}

int key_type(const X509& certificate) noexcept {
  const EVP_PKEY* key = X509_get0_pubkey(&certificate);
  ERR_clear_error();
  return key == nullptr ? EVP_PKEY_NONE : EVP_PKEY_get_base_id(key);
}

}  // namespace gateway
