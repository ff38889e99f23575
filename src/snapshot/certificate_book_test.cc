#include "snapshot/certificate_book.h"

#include <gtest/gtest.h>

#include "base/json.h"

#include "tls/default_certificate.h"

namespace gateway::snapshot {
namespace {

const tls::PemTexts& pem() {
  static const tls::PemTexts made = *tls::make_self_signed(tls::KeyType::ecdsa);
  return made;
}

class CertificateBookTest : public ::testing::Test {
 protected:
  static Uuid id(int number) {
    Uuid id;
    id.bytes[15] = static_cast<std::uint8_t>(number);
    return id;
  }

  void set(const char* entity, int number, Json row) {
    store::Change change;
    change.entity = entity;
    change.id = id(number);
    row["id"] = change.id.to_string();
    change.after = std::move(row);
    book_.apply(change, next_);
  }
  void erase(const char* entity, int number) {
    store::Change change;
    change.entity = entity;
    change.id = id(number);
    book_.apply(change, next_);
  }
  void set_certificate(int number) { set("certificates", number, {{"cert", pem().certificate}, {"key", pem().key}}); }
  void set_sni(int number, const char* name, int certificate) { set("snis", number, {{"name", name}, {"certificate", {{"id", id(certificate).to_string()}}}}); }
  [[nodiscard]] const tls::ServerCertificate* certificate(int number) const {
    const tls::ServerCertificatePtr* found = next_.certificates.find(id(number));
    return found == nullptr ? nullptr : found->get();
  }

  CertificateBook book_;
  Snapshot next_{0, router::Table(router::Flavour::traditional_compatible), {}, {}};
};

TEST_F(CertificateBookTest, ANameLeadsToItsCertificateWhicheverComesFirst) {
  set_sni(1, "a.test", 10);
  EXPECT_EQ(next_.server_names.find("a.test"), nullptr);
  set_certificate(10);
  ASSERT_NE(certificate(10), nullptr);
  EXPECT_EQ(next_.server_names.find("a.test"), certificate(10));
  set_sni(2, "*.b.test", 10);
  EXPECT_EQ(next_.server_names.find("x.b.test"), certificate(10));
}

TEST_F(CertificateBookTest, AReplacedCertificateIsShownUnderItsNames) {
  set_certificate(10);
  set_sni(1, "a.test", 10);
  const Snapshot before = next_;
  set_certificate(10);
  EXPECT_EQ(next_.server_names.find("a.test"), certificate(10));
  EXPECT_NE(next_.server_names.find("a.test"), before.server_names.find("a.test"));
}

TEST_F(CertificateBookTest, ANameMayChangeAndMove) {
  set_certificate(10);
  set_certificate(11);
  set_sni(1, "a.test", 10);
  set_sni(1, "b.test", 11);
  EXPECT_EQ(next_.server_names.find("a.test"), nullptr);
  EXPECT_EQ(next_.server_names.find("b.test"), certificate(11));
  erase("snis", 1);
  EXPECT_EQ(next_.server_names.size(), 0U);
  erase("certificates", 10);
  EXPECT_EQ(certificate(10), nullptr);
}

TEST_F(CertificateBookTest, RowsThatDifferInCaseAreOneNameUntilTheLastGoes) {
  set_certificate(10);
  set_certificate(11);
  set_sni(2, "A.test", 11);
  set_sni(1, "a.test", 10);
  EXPECT_EQ(next_.server_names.find("a.TEST"), certificate(10));
  erase("snis", 1);
  EXPECT_EQ(next_.server_names.find("a.test"), certificate(11));
  erase("snis", 2);
  EXPECT_EQ(next_.server_names.find("a.test"), nullptr);
}

TEST_F(CertificateBookTest, ARowThatCannotBeUsedIsLeftOut) {
  set_certificate(10);
  set_sni(1, "a.test", 10);
  set("certificates", 10, {{"cert", "broken"}, {"key", "broken"}});
  EXPECT_EQ(certificate(10), nullptr);
  EXPECT_EQ(next_.server_names.find("a.test"), nullptr);
  set("ca_certificates", 20, {{"cert", "broken"}});
  EXPECT_EQ(next_.ca_certificates.find(id(20)), nullptr);
}

TEST_F(CertificateBookTest, AuthoritiesComeAndGo) {
  set("ca_certificates", 20, {{"cert", pem().certificate}});
  EXPECT_NE(next_.ca_certificates.find(id(20)), nullptr);
  erase("ca_certificates", 20);
  EXPECT_EQ(next_.ca_certificates.find(id(20)), nullptr);
}

}  // namespace
}  // namespace gateway::snapshot
