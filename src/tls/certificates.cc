#include "tls/certificates.h"

#include <algorithm>

namespace gateway::tls {
namespace {

Error wrong(std::string what) { return Error{boost::system::errc::make_error_code(boost::system::errc::invalid_argument), Origin::gateway, std::move(what)}; }

}  // namespace

Result<KeyPair> KeyPair::parse(std::string_view certificate, std::string_view key) {
  Result<std::vector<X509Ptr>> certificates = read_certificates(certificate);
  if (!certificates) return wrong("invalid certificate: " + certificates.error().doing);
  Result<KeyPtr> private_key = read_private_key(key);
  if (!private_key) return wrong("invalid key: " + private_key.error().doing);
  if (!belongs(*certificates->front(), **private_key)) return wrong("certificate does not match key");
  KeyPair pair;
  pair.leaf = std::move(certificates->front());
  pair.chain.assign(std::make_move_iterator(certificates->begin() + 1), std::make_move_iterator(certificates->end()));
  pair.key = std::move(*private_key);
  return pair;
}

Result<ServerCertificatePtr> make_server_certificate(std::vector<KeyPair> pairs) {
  if (pairs.empty()) return wrong("there is no certificate");
  for (auto pair = pairs.begin(); pair != pairs.end(); ++pair) {
    const bool twice = std::any_of(pairs.begin(), pair, [&](const KeyPair& before) { return key_type(*before.leaf) == key_type(*pair->leaf); });
    if (twice) return wrong("two certificates have the same type of key: only one of RSA and one of ECDSA can be shown");
  }
  return std::make_shared<const ServerCertificate>(ServerCertificate{std::move(pairs)});
}

Result<ServerCertificatePtr> parse_server_certificate(const PemPair& first, const std::optional<PemPair>& alternative) {
  std::vector<KeyPair> pairs;
  Result<KeyPair> pair = KeyPair::parse(first.certificate, first.key);
  if (!pair) return pair.error();
  pairs.push_back(std::move(*pair));
  if (alternative) {
    pair = KeyPair::parse(alternative->certificate, alternative->key);
    if (!pair) return pair.error();
    pairs.push_back(std::move(*pair));
  }
  return make_server_certificate(std::move(pairs));
}

}  // namespace gateway::tls
