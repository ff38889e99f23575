#include "tls/cipher_suite.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>

namespace gateway::tls {
namespace {

TEST(Versions, AreTheFirstAndTheLastOfThoseNamed) {
  EXPECT_EQ(*parse_versions("TLSv1.2 TLSv1.3"), (Versions{TLS1_2_VERSION, TLS1_3_VERSION}));
  EXPECT_EQ(*parse_versions("TLSv1.3,  TLSv1.2, TLSv1.1"), (Versions{TLS1_1_VERSION, TLS1_3_VERSION}));
  EXPECT_EQ(*parse_versions("TLSv1"), (Versions{TLS1_VERSION, TLS1_VERSION}));
}

TEST(Versions, ThatCannotBeSpokenAreRefused) {
  for (const char* text : {"", "  ", "SSLv3", "TLSv1.4", "tlsv1.2", "TLSv1.1 TLSv1.3", "TLSv1.2;TLSv1.3"}) EXPECT_FALSE(parse_versions(text)) << text;
}

TEST(CipherSuite, EachIsOneThatOpensslKnows) {
  for (const char* name : {"modern", "intermediate", "old", "fips"}) {
    const std::optional<CipherSuite> suite = find_cipher_suite(name);
    ASSERT_TRUE(suite) << name;
    EXPECT_TRUE(check_ciphers(suite->ciphers)) << name;
    EXPECT_TRUE(suite->dh_parameters.empty() || read_dh_parameters(suite->dh_parameters)) << name;
  }
  EXPECT_FALSE(find_cipher_suite("custom"));
  EXPECT_EQ(find_cipher_suite("modern")->versions.least, TLS1_3_VERSION);
  EXPECT_FALSE(check_ciphers("NOBODY-KNOWS"));
}

TEST(CipherSuite, IntermediateHasNoneThatIsWeak) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  ASSERT_EQ(SSL_CTX_set_cipher_list(context.get(), find_cipher_suite("intermediate")->ciphers.c_str()), 1);
  const STACK_OF(SSL_CIPHER)* ciphers = SSL_CTX_get_ciphers(context.get());
  EXPECT_EQ(sk_SSL_CIPHER_num(ciphers), 3 + 9);  // those of TLS 1.3, and ours
  for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); ++i) EXPECT_EQ(SSL_CIPHER_is_aead(sk_SSL_CIPHER_value(ciphers, i)), 1);
}

TEST(DhParameters, AreAGroupOrPem) {
  const Result<KeyPtr> group = read_dh_parameters("ffdhe3072");
  ASSERT_TRUE(group);
  EXPECT_EQ(EVP_PKEY_get_bits(group->get()), 3072);
  for (const char* bad : {"ffdhe1", "nothing", "/no/such/file", "-----BEGIN DH PARAMETERS-----\nMAA=\n-----END DH PARAMETERS-----\n"}) {
    EXPECT_FALSE(read_dh_parameters(bad)) << bad;
  }
}

}  // namespace
}  // namespace gateway::tls
