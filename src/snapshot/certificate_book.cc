#include "snapshot/certificate_book.h"

#include "base/log.h"

namespace gateway::snapshot {

void CertificateBook::apply(const store::Change& change, Snapshot& next) {
  const bool gone = change.after.is_null();
  if (change.entity == "certificates") {
    if (!gone) return set_certificate(entity::Certificate::from_json(change.after), next);
    next.certificates.erase(change.id);
    point_names_of(change.id, next);
  } else if (change.entity == "snis") {
    gone ? erase_sni(change.id, next) : set_sni(entity::Sni::from_json(change.after), next);
  } else if (change.entity == "ca_certificates") {
    next.ca_certificates.erase(change.id);
    if (gone) return;
    Result<std::vector<X509Ptr>> read = read_certificates(entity::CaCertificate::from_json(change.after).cert);
    if (!read) return log::error("ca certificate {} is not used: {}", change.id.to_string(), read.error().doing);
    next.ca_certificates.set(change.id, std::move(read->front()));
  }
}

void CertificateBook::set_certificate(const entity::Certificate& row, Snapshot& next) {
  std::optional<tls::PemPair> alternative;
  if (!row.cert_alt.empty()) alternative = tls::PemPair{row.cert_alt, row.key_alt};
  Result<tls::ServerCertificatePtr> read = tls::parse_server_certificate({row.cert, row.key}, alternative);
  if (read) {
    next.certificates.set(row.id, std::move(*read));
  } else {
    next.certificates.erase(row.id);
    log::error("certificate {} is not used: {}", row.id.to_string(), read.error().doing);
  }
  point_names_of(row.id, next);
}

void CertificateBook::set_sni(entity::Sni row, Snapshot& next) {
  erase_sni(row.id, next);
  std::string key = tls::ServerNames::key_of(row.name);
  of_certificate_[row.certificate].insert(row.id);
  rows_[key].insert(row.id);
  names_[row.id] = {key, row.certificate};
  point(key, next);
}

void CertificateBook::erase_sni(const Uuid& id, Snapshot& next) {
  const auto found = names_.find(id);
  if (found == names_.end()) return;
  const Name name = std::move(found->second);
  names_.erase(found);
  if (const auto ids = of_certificate_.find(name.certificate); ids->second.erase(id) != 0 && ids->second.empty()) of_certificate_.erase(ids);
  if (const auto ids = rows_.find(name.key); ids->second.erase(id) != 0 && ids->second.empty()) rows_.erase(ids);
  point(name.key, next);
}

// Of several rows for one name, the one with the lowest id: every node shows the same.
void CertificateBook::point(const std::string& key, Snapshot& next) const {
  const auto rows = rows_.find(key);
  const tls::ServerCertificatePtr* certificate = rows == rows_.end() ? nullptr : next.certificates.find(names_.at(*rows->second.begin()).certificate);
  if (certificate == nullptr) {
    next.server_names.erase(key);
  } else {
    next.server_names.set(key, *certificate);
  }
}

void CertificateBook::point_names_of(const Uuid& certificate, Snapshot& next) const {
  const auto ids = of_certificate_.find(certificate);
  if (ids == of_certificate_.end()) return;
  for (const Uuid& id : ids->second) point(names_.at(id).key, next);
}

}  // namespace gateway::snapshot
