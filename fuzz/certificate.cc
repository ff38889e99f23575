// PEM from outside, taken for certificates, a key, an authority: read or refused, never a crash.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "entity/row.h"
#include "entity/types.h"
#include "tls/server_names.h"

using gateway::Json;
namespace entity = gateway::entity;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const entity::TypePtr certificates = entity::certificates_type();
  static const entity::TypePtr authorities = entity::ca_certificates_type();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  // The first half as the certificate, the second as the key, so that both kinds of text are met with.
  const std::string_view half = text.substr(0, size / 2);
  (void)gateway::tls::KeyPair::parse(text, text);
  (void)gateway::tls::KeyPair::parse(half, text.substr(half.size()));
  Json row = {{"cert", std::string(text)}, {"key", std::string(text)}};
  (void)entity::complete(*certificates, row, 1700000000);
  Json authority = {{"cert", std::string(text)}};
  (void)entity::complete(*authorities, authority, 1700000000);

  static const auto shown = std::make_shared<const gateway::tls::ServerCertificate>();
  gateway::tls::ServerNames names;
  names.set(text, shown);
  (void)names.find(text);
  names.erase(text);
  if (names.size() != 0) std::abort();
  return 0;
}
