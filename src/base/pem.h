#pragma once

#include <openssl/types.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gateway {

/// A certificate, and a key; immutable, so that all threads may share them.
using X509Ptr = std::shared_ptr<X509>;
using KeyPtr = std::shared_ptr<EVP_PKEY>;

/// A chain is no longer than this.
inline constexpr std::size_t max_chain = 32;

/// Every certificate of a PEM text, in its order; blocks of other kinds are passed over.
/// Errors: `doing` is OpenSSL's reason alone. No certificate in it, one that cannot be read, more than `most`.
[[nodiscard]] Result<std::vector<X509Ptr>> read_certificates(std::string_view pem, std::size_t most = max_chain);

/// The first private key of a PEM text. Errors as above; a key locked with a passphrase is one. The reason
/// never has a part of the text in it.
[[nodiscard]] Result<KeyPtr> read_private_key(std::string_view pem);

/// Whether a key is the one that the certificate was made for.
[[nodiscard]] bool belongs(const X509& certificate, const EVP_PKEY& key) noexcept;

/// OpenSSL's number of the kind of key in a certificate: EVP_PKEY_RSA, EVP_PKEY_EC...
[[nodiscard]] int key_type(const X509& certificate) noexcept;

/// Why OpenSSL's last call of this thread failed: "error:0480006C:PEM routines::no start line". Empties its list.
[[nodiscard]] std::string openssl_reason();

}  // namespace gateway
