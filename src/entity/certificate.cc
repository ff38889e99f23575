#include "entity/certificate.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "base/json.h"

#include "base/pem.h"
#include "entity/fields.h"
#include "entity/types.h"

namespace gateway::entity {
namespace {

using schema::Check;

std::optional<Json> certificate_rule(const Json& value) {
  const auto read = read_certificates(value.get_ref<const std::string&>());
  return read ? std::nullopt : std::optional<Json>("invalid certificate: " + read.error().doing);
}

std::optional<Json> key_rule(const Json& value) {
  const auto read = read_private_key(value.get_ref<const std::string&>());
  return read ? std::nullopt : std::optional<Json>("invalid key: " + read.error().doing);
}

Field certificate_text() { return schema::string().rule(certificate_rule); }
Field key_text() { return schema::string().rule(key_rule).referenceable().encrypted(); }

// The first certificate at a field that has one and has nothing wrong with it; else null.
X509Ptr certificate_at(const Json& document, const Json& errors, const char* field) {
  const Json& text = schema::at_path(document, field);
  if (!text.is_string() || errors.contains(field)) return nullptr;
  const auto read = read_certificates(text.get_ref<const std::string&>());
  return read ? read->front() : nullptr;
}

Check belong_together(const char* certificate, const char* key, const char* complaint) {
  return Check::custom({certificate, key}, [=](const Json& document, Json& errors) {
    const X509Ptr leaf = certificate_at(document, errors, certificate);
    const Json& text = schema::at_path(document, key);
    if (!leaf || !text.is_string() || errors.contains(key)) return;
    const auto private_key = read_private_key(text.get_ref<const std::string&>());
    if (private_key && !belongs(*leaf, **private_key)) errors["@entity"].push_back(complaint);
  });
}

Check types_differ() {
  return Check::custom({"cert", "cert_alt"}, [](const Json& document, Json& errors) {
    const X509Ptr first = certificate_at(document, errors, "cert");
    const X509Ptr second = certificate_at(document, errors, "cert_alt");
    if (!first || !second || key_type(*first) != key_type(*second)) return;
    errors["@entity"].push_back(
        "certificate and alternative certificate need to have different type (e.g. RSA and ECDSA), the provided certificates were both of the same type");
  });
}

// Of forms of the older generation: all names in one text. No name has a comma in it.
Json split_names(Json& document) {
  const auto given = document.find("snis");
  if (given == document.end() || !given->is_array()) return nullptr;
  Json names = Json::array();
  for (const Json& each : *given) {
    if (!each.is_string() || each.get_ref<const std::string&>().find(',') == std::string::npos) {
      names.push_back(each);
      continue;
    }
    std::string_view rest = each.get_ref<const std::string&>();
    while (!rest.empty()) {
      const std::size_t comma = rest.find(',');
      std::string_view name = rest.substr(0, comma);
      while (name.starts_with(' ')) name.remove_prefix(1);
      while (name.ends_with(' ')) name.remove_suffix(1);
      if (!name.empty()) names.push_back(std::string(name));
      rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
    }
  }
  *given = std::move(names);
  return nullptr;
}

std::string digest_of(const X509& certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  std::string hex;
  if (X509_digest(&certificate, EVP_sha256(), digest, &size) != 1) return hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

// The digest is what two rows must not share, so it is never what a client says it is.
Json set_digest(Json& document) {
  document.erase("cert_digest");
  if (const X509Ptr certificate = certificate_at(document, Json::object(), "cert")) document["cert_digest"] = digest_of(*certificate);
  return nullptr;
}

void check_authority(const Json& document, Json& errors) {
  const Json& text = schema::at_path(document, "cert");
  if (!text.is_string() || errors.contains("cert")) return;
  const auto read = read_certificates(text.get_ref<const std::string&>());
  if (!read) return;
  X509* certificate = read->front().get();
  const auto complain = [&errors](const char* complaint) { errors["@entity"].push_back(complaint); };
  if (read->size() > 1) return complain("please submit only one certificate at a time");
  if (X509_cmp_current_time(X509_get0_notAfter(certificate)) <= 0) return complain("certificate expired, \"Not After\" time is in the past");
  if ((X509_get_extension_flags(certificate) & EXFLAG_CA) == 0) {
    complain("certificate does not appear to be a CA because it is missing the \"CA\" basic constraint");
  }
}

std::string text_at(const Json& document, const char* name) {
  const auto found = document.find(name);
  return found != document.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Uuid id_at(const Json& document, const char* dotted) {
  const Json& id = schema::at_path(document, dotted);
  return id.is_string() ? Uuid::parse(id.get_ref<const std::string&>()).value_or(Uuid{}) : Uuid{};
}

}  // namespace

TypePtr certificates_type() {
  auto type = std::make_shared<Type>();
  type->name = type->collection = type->nested = "certificates";
  type->named_by_entity = "snis";
  type->named_by_field = "certificate";
  type->prepare = split_names;
  type->schema = std::make_shared<const Record>(
      std::vector<Record::Named>{
          id_field(),
          created_at_field(),
          updated_at_field(),
          {"cert", certificate_text().required().referenceable().describe("The certificate as PEM, its chain behind it.")},
          {"key", key_text().required().describe("The certificate's private key as PEM.")},
          {"cert_alt", certificate_text().optional_said().referenceable().describe("A second certificate, for a key of another type: RSA beside ECDSA.")},
          {"key_alt", key_text().optional_said().describe("The second certificate's private key.")},
          tags_field(),
          {"snis", schema::array_of(wildcard_sni_text()).optional_said().transient().describe("The server names it is shown for.")},
      },
      std::vector<Check>{
          Check::mutually_required({"cert_alt", "key_alt"}),
          belong_together("cert", "key", "certificate does not match key"),
          belong_together("cert_alt", "key_alt", "alternative certificate does not match key"),
          types_differ(),
      });
  return type;
}

TypePtr snis_type() {
  auto type = std::make_shared<Type>();
  type->name = type->collection = type->nested = "snis";
  type->endpoint_key = "name";
  type->unique = {"name"};
  // Kong takes names away before their certificate, so that nobody ever finds one without the other.
  type->foreign = {{"certificate", "certificates", OnDelete::cascade}};
  type->schema = std::make_shared<const Record>(std::vector<Record::Named>{
      id_field(),
      {"name", wildcard_sni_text().required().unique_everywhere().describe("A server name; *.a.com, a.* and * stand for many.")},
      created_at_field(),
      updated_at_field(),
      tags_field(),
      {"certificate", schema::foreign("certificates").required().describe("The certificate that is shown for it.")},
  });
  return type;
}

TypePtr ca_certificates_type() {
  auto type = std::make_shared<Type>();
  type->name = type->collection = type->nested = "ca_certificates";
  type->unique = {"cert_digest"};
  type->prepare = set_digest;
  type->schema = std::make_shared<const Record>(
      std::vector<Record::Named>{
          id_field(),
          created_at_field(),
          updated_at_field(),
          {"cert", certificate_text().required().describe("The authority's certificate as PEM, nothing else with it.")},
          {"cert_digest", schema::string().unique().describe("SHA-256 of the certificate, as hex; worked out by the gateway.")},
          tags_field(),
      },
      std::vector<Check>{Check::custom({"cert"}, check_authority)});
  return type;
}

Certificate Certificate::from_json(const nlohmann::json& document) {
  Certificate out;
  out.id = id_at(document, "id");
  out.cert = text_at(document, "cert");
  out.key = text_at(document, "key");
  out.cert_alt = text_at(document, "cert_alt");
  out.key_alt = text_at(document, "key_alt");
  return out;
}

Sni Sni::from_json(const nlohmann::json& document) {
  Sni out;
  out.id = id_at(document, "id");
  out.name = text_at(document, "name");
  out.certificate = id_at(document, "certificate.id");
  return out;
}

CaCertificate CaCertificate::from_json(const nlohmann::json& document) {
  CaCertificate out;
  out.id = id_at(document, "id");
  out.cert = text_at(document, "cert");
  return out;
}

}  // namespace gateway::entity
