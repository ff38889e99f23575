#include "tls/certificates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tls/default_certificate.h"

namespace gateway::tls {
namespace {

using ::testing::HasSubstr;

const PemTexts& rsa() {
  static const PemTexts made = *make_self_signed(KeyType::rsa);
  return made;
}

const PemTexts& ecdsa() {
  static const PemTexts made = *make_self_signed(KeyType::ecdsa);
  return made;
}

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "certificates-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(path_ + "/" + name) << text;
    return path_ + "/" + name;
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string content(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(KeyPair, OfOneCertificateHasNoChain) {
  const Result<KeyPair> pair = KeyPair::parse(rsa().certificate, rsa().key);
  ASSERT_TRUE(pair) << pair.error().doing;
  EXPECT_EQ(key_type(*pair->leaf), EVP_PKEY_RSA);
  EXPECT_TRUE(pair->chain.empty());
  EXPECT_TRUE(belongs(*pair->leaf, *pair->key));
}

TEST(KeyPair, WhatFollowsTheFirstCertificateIsItsChain) {
  const Result<KeyPair> pair = KeyPair::parse("words before\n" + rsa().certificate + ecdsa().certificate + "and behind\n", rsa().key);
  ASSERT_TRUE(pair) << pair.error().doing;
  ASSERT_EQ(pair->chain.size(), 1U);
  EXPECT_EQ(key_type(*pair->chain[0]), EVP_PKEY_EC);
}

TEST(KeyPair, OfAnotherKeyIsRefused) {
  const Result<KeyPair> pair = KeyPair::parse(rsa().certificate, ecdsa().key);
  ASSERT_FALSE(pair);
  EXPECT_EQ(pair.error().doing, "certificate does not match key");
}

TEST(KeyPair, SaysWhichPartCannotBeReadAndShowsNothingOfIt) {
  EXPECT_THAT(KeyPair::parse("secret", rsa().key).error().doing, HasSubstr("invalid certificate: error:"));
  const std::string told = KeyPair::parse(rsa().certificate, "secret").error().doing;
  EXPECT_THAT(told, HasSubstr("invalid key: error:"));
  EXPECT_THAT(told, ::testing::Not(HasSubstr("secret")));
}

TEST(KeyPair, ASecondCertificateThatIsCutOffIsAnError) {
  const std::string cut = rsa().certificate + ecdsa().certificate.substr(0, ecdsa().certificate.size() / 2);
  EXPECT_FALSE(KeyPair::parse(cut, rsa().key));
}

TEST(KeyPair, AKeyWithAPassphraseIsRefusedAndNotAskedFor) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
  const KeyPtr key = *read_private_key(rsa().key);
  ASSERT_EQ(PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), EVP_aes_128_cbc(), "word", 4, nullptr, nullptr), 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  const std::string locked(data, static_cast<std::size_t>(size));
  EXPECT_FALSE(KeyPair::parse(rsa().certificate, locked));
}

TEST(KeyPair, MoreCertificatesThanAChainCanHaveAreRefused) {
  std::string many;
  for (std::size_t i = 0; i <= max_chain; ++i) many += ecdsa().certificate;
  EXPECT_THAT(KeyPair::parse(many, ecdsa().key).error().doing, HasSubstr("more than 32 certificates"));
}

TEST(ServerCertificate, HoldsAPairForEachTypeOfKey) {
  const auto both = parse_server_certificate({rsa().certificate, rsa().key}, PemPair{ecdsa().certificate, ecdsa().key});
  ASSERT_TRUE(both) << both.error().doing;
  EXPECT_EQ((*both)->pairs.size(), 2U);
  EXPECT_FALSE(parse_server_certificate({rsa().certificate, rsa().key}, PemPair{rsa().certificate, rsa().key}));
  EXPECT_FALSE(make_server_certificate({}));
}

TEST(DefaultCertificate, IsMadeOnceAndKeptWithItsKeysHidden) {
  const Folder folder;
  DefaultCertificate from;
  from.folder = folder.path() + "/ssl";
  const auto made = load_default_certificate(from);
  ASSERT_TRUE(made) << made.error().to_string();
  ASSERT_EQ((*made)->pairs.size(), 2U);
  EXPECT_EQ(key_type(*(*made)->pairs[0].leaf), EVP_PKEY_RSA);
  EXPECT_EQ(key_type(*(*made)->pairs[1].leaf), EVP_PKEY_EC);
  const std::string before = content(from.folder + "/sluice-default.crt");
  for (const char* name : {"/sluice-default.key", "/sluice-default-ecdsa.key"}) {
    struct stat info {};
    ASSERT_EQ(::stat((from.folder + name).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
  }
  ASSERT_TRUE(load_default_certificate(from));
  EXPECT_EQ(content(from.folder + "/sluice-default.crt"), before);
}

TEST(DefaultCertificate, ThatIsKeptButBrokenIsAnErrorAndStays) {
  const Folder folder;
  DefaultCertificate from;
  from.folder = folder.path();
  const std::string crt = folder.file("sluice-default.crt", "broken");
  (void)folder.file("sluice-default.key", rsa().key);
  const auto loaded = load_default_certificate(from);
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().doing, HasSubstr(crt));
  EXPECT_EQ(content(crt), "broken");
}

TEST(DefaultCertificate, MayBeFilesOrTextsOrBase64OfTexts) {
  const Folder folder;
  DefaultCertificate from;
  std::string base64(ecdsa().key.size() * 2, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(base64.data()), reinterpret_cast<const unsigned char*>(ecdsa().key.data()),
                                   static_cast<int>(ecdsa().key.size()));
  base64.resize(static_cast<std::size_t>(size));
  from.certificates = {folder.file("rsa.crt", rsa().certificate), ecdsa().certificate};
  from.keys = {folder.file("rsa.key", rsa().key), base64};
  const auto loaded = load_default_certificate(from);
  ASSERT_TRUE(loaded) << loaded.error().doing;
  EXPECT_EQ((*loaded)->pairs.size(), 2U);
}

TEST(DefaultCertificate, SaysWhichSettingIsWrong) {
  DefaultCertificate from;
  from.settings = "admin_";
  const auto told = [&from] { return load_default_certificate(from).error().doing; };
  from.certificates = {rsa().certificate};
  EXPECT_EQ(told(), "admin_ssl_cert_key must be specified");
  from.keys = {rsa().key, ecdsa().key};
  EXPECT_EQ(told(), "admin_ssl_cert was specified 1 times while admin_ssl_cert_key was specified 2 times");
  from.certificates.clear();
  EXPECT_EQ(told(), "admin_ssl_cert must be specified");
  from.certificates = {"/nowhere/a.crt"};
  from.keys = {rsa().key};
  EXPECT_EQ(told(), "admin_ssl_cert: failed loading certificate from /nowhere/a.crt");
  from.certificates = {rsa().certificate};
  from.keys = {"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"};
  EXPECT_THAT(told(), HasSubstr("admin_ssl_cert_key: failed loading key from the text given"));
  EXPECT_THAT(told(), ::testing::Not(HasSubstr("c2VjcmV0")));
  from.keys = {ecdsa().key};
  EXPECT_THAT(told(), HasSubstr("certificate does not match key"));
  from.certificates = {rsa().certificate, rsa().certificate};
  from.keys = {rsa().key, rsa().key};
  EXPECT_THAT(told(), HasSubstr("the same type of key"));
}

}  // namespace
}  // namespace gateway::tls
