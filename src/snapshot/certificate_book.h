#pragma once

#include <set>
#include <string>
#include <unordered_map>

#include "entity/certificate.h"
#include "snapshot/snapshot.h"
#include "store/store.h"

namespace gateway::snapshot {

/// Keeps certificates, the names they are shown for and authorities in the next snapshot. Control thread only.
///
/// A change costs in proportion to itself: a certificate is read once, and its names are pointed to it.
class CertificateBook {
 public:
  /// Takes over a change of one of the three entities; others are none of its business. Rows that OpenSSL cannot use
  /// (written by a program that checks less) are left out, and said in the log.
  void apply(const store::Change& change, Snapshot& next);

 private:
  void set_certificate(const entity::Certificate& row, Snapshot& next);
  void set_sni(entity::Sni row, Snapshot& next);
  void erase_sni(const Uuid& id, Snapshot& next);
  void point(const std::string& key, Snapshot& next) const;
  void point_names_of(const Uuid& certificate, Snapshot& next) const;

  struct Name {
    std::string key;
    Uuid certificate;
  };
  std::unordered_map<Uuid, Name> names_;  // by the id of their row
  std::unordered_map<Uuid, std::set<Uuid>> of_certificate_;
  std::unordered_map<std::string, std::set<Uuid>> rows_;  // by key: A.com and a.com are two rows and one name
};

}  // namespace gateway::snapshot
