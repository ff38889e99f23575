#include "app/settings/tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "app/settings/names.h"

namespace gateway::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const tls::PemTexts& pem() {
  static const tls::PemTexts made = *tls::make_self_signed(tls::KeyType::ecdsa);
  return made;
}

struct Read {
  TlsSettings tls;
  std::vector<std::string> errors;
};

Read read(const std::map<std::string, std::string>& given, const TlsListeners& listeners = {}) {
  Values values;
  for (const Name& name : all_names()) values.by_name[std::string(name.name)] = {std::string(name.default_text), "default"};
  for (const auto& [name, text] : given) values.by_name[name] = {text, "here"};
  Read out;
  out.tls = read_tls(values, "/prefix", listeners);
  out.errors = values.errors;
  return out;
}

TEST(TlsSettings, AreIntermediateUnlessTold) {
  const Read out = read({});
  EXPECT_THAT(out.errors, IsEmpty());
  EXPECT_EQ(out.tls.suite.versions, (tls::Versions{TLS1_2_VERSION, TLS1_3_VERSION}));
  EXPECT_FALSE(out.tls.suite.prefer_server_ciphers);
  EXPECT_NE(out.tls.dh_parameters, nullptr);
  EXPECT_TRUE(out.tls.session_tickets);
  EXPECT_EQ(out.tls.session_timeout, std::chrono::hours(24));
  EXPECT_EQ(out.tls.session_cache_bytes, 10U << 20);
  EXPECT_EQ(out.tls.client_certificate, nullptr);
  EXPECT_FALSE(out.tls.verify_services);
  EXPECT_TRUE(out.tls.trust.system);
  EXPECT_TRUE(out.tls.service_trust.system);
  EXPECT_EQ(out.tls.service_trust.verify_depth, 1U);
  EXPECT_EQ(out.tls.proxy_certificate.folder, "/prefix/ssl");
  EXPECT_EQ(out.tls.admin_certificate.file, "admin-sluice-default");
}

TEST(TlsSettings, ASuiteGoesBeforeWhatItIsMadeOf) {
  const Read out = read({{"ssl_cipher_suite", "modern"}, {"ssl_protocols", "TLSv1.2"}, {"ssl_ciphers", "AES128-SHA"}});
  EXPECT_THAT(out.errors, IsEmpty());
  EXPECT_EQ(out.tls.suite.versions, (tls::Versions{TLS1_3_VERSION, TLS1_3_VERSION}));
}

TEST(TlsSettings, ACustomSuiteIsWhatItIsToldToBe) {
  const Read out = read({{"ssl_cipher_suite", "custom"}, {"ssl_protocols", "TLSv1.2"}, {"ssl_ciphers", "AES128-SHA"}, {"ssl_prefer_server_ciphers", "on"}});
  EXPECT_THAT(out.errors, IsEmpty());
  EXPECT_EQ(out.tls.suite.versions, (tls::Versions{TLS1_2_VERSION, TLS1_2_VERSION}));
  EXPECT_EQ(out.tls.suite.ciphers, "AES128-SHA");
  EXPECT_TRUE(out.tls.suite.prefer_server_ciphers);
  EXPECT_EQ(out.tls.dh_parameters, nullptr);
}

TEST(TlsSettings, WhatIsWrongIsTold) {
  EXPECT_THAT(read({{"ssl_cipher_suite", "best"}}).errors, ElementsAre("here: Undefined cipher suite best"));
  EXPECT_THAT(read({{"ssl_cipher_suite", "custom"}, {"ssl_ciphers", "NONE-SUCH"}}).errors, ElementsAre(HasSubstr("here: ssl_ciphers: error:")));
  EXPECT_THAT(read({{"ssl_cipher_suite", "custom"}, {"ssl_protocols", "SSLv3"}}).errors, ElementsAre(HasSubstr("ssl_protocols: 'SSLv3' is not a version")));
  EXPECT_THAT(read({{"ssl_cipher_suite", "old"}, {"ssl_dhparam", "/no/file"}}).errors, ElementsAre(HasSubstr("ssl_dhparam: failed loading certificate from")));
  EXPECT_THAT(read({{"ssl_session_timeout", "soon"}}).errors, ElementsAre("here: ssl_session_timeout is not a time: 'soon'"));
  EXPECT_THAT(read({{"ssl_session_tickets", "maybe"}}).errors, ElementsAre("here: ssl_session_tickets is not a boolean: 'maybe'"));
  EXPECT_THAT(read({{"upstream_ssl_verify_depth", "-1"}}).errors, ElementsAre(HasSubstr("upstream_ssl_verify_depth must be an integer")));
  EXPECT_THAT(read({{"lua_ssl_trusted_certificate", "system, /no/file"}}).errors,
              ElementsAre("here: lua_ssl_trusted_certificate: failed loading certificate from /no/file"));
}

TEST(TlsSettings, ACertificateIsLookedAtWhenSomebodyListensWithIt) {
  const std::map<std::string, std::string> half = {{"ssl_cert", pem().certificate}};
  EXPECT_THAT(read(half).errors, IsEmpty());
  EXPECT_THAT(read(half, {.proxy = true}).errors, ElementsAre("here: ssl_cert_key must be specified"));
  EXPECT_THAT(read({{"ssl_cert", pem().certificate}, {"ssl_cert_key", pem().key}}, {.proxy = true}).errors, IsEmpty());
  EXPECT_THAT(read({{"admin_ssl_cert_key", pem().key}}, {.admin = true}).errors, ElementsAre("here: admin_ssl_cert must be specified"));
}

TEST(TlsSettings, AClientCertificateNeedsBothParts) {
  EXPECT_THAT(read({{"client_ssl", "on"}}).errors, ElementsAre("here: client_ssl_cert must be specified"));
  EXPECT_THAT(read({{"client_ssl", "on"}, {"client_ssl_cert", pem().certificate}}).errors, ElementsAre("here: client_ssl_cert_key must be specified"));
  const Read out = read({{"client_ssl", "on"}, {"client_ssl_cert", pem().certificate}, {"client_ssl_cert_key", pem().key}});
  EXPECT_THAT(out.errors, IsEmpty());
  EXPECT_NE(out.tls.client_certificate, nullptr);
  EXPECT_EQ(read({{"client_ssl_cert", pem().certificate}}).tls.client_certificate, nullptr);
}

TEST(TlsSettings, TrustIsTheSystemsAndWhatIsNamed) {
  std::string path = (std::filesystem::temp_directory_path() / "authorities-XXXXXX").string();
  ASSERT_NE(::mkstemp(path.data()), -1);
  std::string many;
  for (int i = 0; i < 100; ++i) many += pem().certificate;
  std::ofstream(path) << many;
  const Read out = read({{"lua_ssl_trusted_certificate", "system," + path}, {"lua_ssl_verify_depth", "4"}});
  EXPECT_THAT(out.errors, IsEmpty());
  EXPECT_TRUE(out.tls.trust.system);
  EXPECT_EQ(out.tls.trust.authorities.size(), 100U);
  EXPECT_EQ(out.tls.trust.verify_depth, 4U);
  EXPECT_EQ(out.tls.service_trust.authorities.size(), 100U);
  EXPECT_EQ(out.tls.service_trust.verify_depth, 1U);
  const Read own = read({{"upstream_ssl_trusted_certificate", pem().certificate}, {"upstream_ssl_verify", "on"}, {"upstream_ssl_verify_depth", "2"}});
  EXPECT_TRUE(own.tls.verify_services);
  EXPECT_FALSE(own.tls.service_trust.system);
  EXPECT_EQ(own.tls.service_trust.authorities.size(), 1U);
  EXPECT_EQ(own.tls.service_trust.verify_depth, 2U);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace gateway::app
