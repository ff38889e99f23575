#include "tls/default_certificate.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace gateway::tls {
namespace {

constexpr long seconds_per_day = 86400;
constexpr std::size_t longest_file = std::size_t{1} << 20;

struct BioDeleter {
  void operator()(BIO* bio) const noexcept { BIO_free(bio); }
};
using BioPtr = std::unique_ptr<BIO, BioDeleter>;

Error wrong(std::string what) { return Error{boost::system::errc::make_error_code(boost::system::errc::invalid_argument), Origin::gateway, std::move(what)}; }

Error failed(std::string doing, int number) {
  return Error{boost::system::error_code(number, boost::system::system_category()), Origin::gateway, std::move(doing)};
}

std::string content_of(const BioPtr& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(std::max(size, 0L))};
}

bool add_extension(X509& certificate, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, &certificate, &certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value), X509_EXTENSION_free);
  return extension && X509_add_ext(&certificate, extension.get(), -1) == 1;
}

bool fill_in(X509& certificate, EVP_PKEY& key) {
  constexpr int serial_bytes = 16;
  unsigned char serial[serial_bytes];
  if (RAND_bytes(serial, serial_bytes) != 1) return false;
  serial[0] &= 0x7F;  // positive
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> number(BN_bin2bn(serial, serial_bytes, nullptr), BN_free);
  if (!number || BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(&certificate)) == nullptr) return false;
  X509_NAME* name = X509_get_subject_name(&certificate);
  const auto add = [name](const char* field, const char* text) {
    return X509_NAME_add_entry_by_txt(name, field, MBSTRING_ASC, reinterpret_cast<const unsigned char*>(text), -1, -1, 0) == 1;
  };
  // A day back, for clients whose clocks are behind.
  return X509_set_version(&certificate, X509_VERSION_3) == 1 && add("O", "Sluice") && add("CN", "localhost") && X509_set_issuer_name(&certificate, name) == 1 &&
         X509_gmtime_adj(X509_getm_notBefore(&certificate), -seconds_per_day) != nullptr &&
         X509_time_adj_ex(X509_getm_notAfter(&certificate), 20 * 365, 0, nullptr) != nullptr && X509_set_pubkey(&certificate, &key) == 1 &&
         add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") && add_extension(certificate, NID_subject_key_identifier, "hash") &&
         add_extension(certificate, NID_ext_key_usage, "serverAuth") &&
         add_extension(certificate, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:0:0:0:0:0:0:0:1") && X509_sign(&certificate, &key, EVP_sha256()) > 0;
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return failed("reading " + path, errno);
  std::string text(longest_file + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return failed("reading " + path, EIO);
  if (static_cast<std::size_t>(file.gcount()) > longest_file) return failed("reading " + path, EFBIG);
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

// Whole or not at all: what a crash leaves behind has another name.
Status write_file(const std::string& path, std::string_view text, mode_t mode) {
  const std::string fresh = path + ".new";
  ::unlink(fresh.c_str());
  const int file = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (file < 0) return failed("writing " + fresh, errno);
  int failure = 0;
  while (failure == 0 && !text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      failure = errno;
    } else {
      text.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  if (failure == 0 && ::fsync(file) != 0) failure = errno;
  ::close(file);
  if (failure == 0 && ::rename(fresh.c_str(), path.c_str()) != 0) failure = errno;
  if (failure == 0) return {};
  ::unlink(fresh.c_str());
  return failed("writing " + path, failure);
}

// What is kept in the folder, made when there is none yet. One half alone is of no use: both are made anew.
Result<KeyPair> kept_pair(const DefaultCertificate& from, KeyType type) {
  const std::string base = from.folder + "/" + from.file + (type == KeyType::ecdsa ? "-ecdsa" : "");
  const std::string certificate_path = base + ".crt";
  const std::string key_path = base + ".key";
  std::error_code ignored;
  if (!std::filesystem::exists(certificate_path, ignored) || !std::filesystem::exists(key_path, ignored)) {
    std::error_code error;
    std::filesystem::create_directories(from.folder, error);
    if (error) return failed("creating " + from.folder, error.value());
    const Result<PemTexts> made = make_self_signed(type);
    if (!made) return made.error();
    Status written = write_file(key_path, made->key, 0600);
    if (written) written = write_file(certificate_path, made->certificate, 0644);
    if (!written) return written.error();
  }
  const Result<std::string> certificate = read_file(certificate_path);
  if (!certificate) return certificate.error();
  const Result<std::string> key = read_file(key_path);
  if (!key) return key.error();
  Result<KeyPair> pair = KeyPair::parse(*certificate, *key);
  if (!pair) return wrong(certificate_path + " and " + key_path + ": " + pair.error().doing);
  return pair;
}

std::string from_base64(std::string_view text) {
  std::string packed;
  std::copy_if(text.begin(), text.end(), std::back_inserter(packed), [](char c) { return c != '\n' && c != '\r' && c != ' '; });
  if (packed.empty() || packed.size() % 4 != 0 || packed.size() > longest_file) return {};
  std::string out(packed.size() / 4 * 3, '\0');
  const int size =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(packed.data()), static_cast<int>(packed.size()));
  if (size < 0) return {};
  const std::size_t padding = packed.ends_with("==") ? 2 : packed.ends_with('=') ? 1 : 0;
  out.resize(static_cast<std::size_t>(size) - padding);
  return out;
}

// A path may be told; what is no path may be a key, and is not.
std::string told(const std::string& value) {
  std::error_code ignored;
  const bool looks_like_one = value.find("-----") == std::string::npos && (value.starts_with('/') || value.find('.') != std::string::npos);
  const bool is_path = looks_like_one || std::filesystem::exists(value, ignored);
  return is_path ? value : "the text given";
}

Result<KeyPair> configured_pair(const DefaultCertificate& from, std::size_t index) {
  const std::string& certificate = from.certificates[index];
  const std::string& key = from.keys[index];
  const std::string certificate_name = from.settings + "ssl_cert";
  const std::string key_name = from.settings + "ssl_cert_key";
  const std::optional<std::string> certificate_pem = pem_of_setting(certificate);
  if (!certificate_pem) return wrong(certificate_name + ": failed loading certificate from " + told(certificate));
  const std::optional<std::string> key_pem = pem_of_setting(key);
  if (!key_pem) return wrong(key_name + ": failed loading key from " + told(key));
  if (const auto read = read_certificates(*certificate_pem); !read) {
    return wrong(certificate_name + ": failed loading certificate from " + told(certificate) + ": " + read.error().doing);
  }
  if (const auto read = read_private_key(*key_pem); !read) {
    return wrong(key_name + ": failed loading key from " + told(key) + ": " + read.error().doing);
  }
  Result<KeyPair> pair = KeyPair::parse(*certificate_pem, *key_pem);
  if (!pair) return wrong(certificate_name + ": " + told(certificate) + ": " + pair.error().doing);
  return pair;
}

Status check_counts(const DefaultCertificate& from) {
  const std::string name = from.settings + "ssl_cert";
  if (from.keys.empty() && !from.certificates.empty()) return wrong(name + "_key must be specified");
  if (from.certificates.empty() && !from.keys.empty()) return wrong(name + " must be specified");
  if (from.certificates.size() == from.keys.size()) return {};
  return wrong(name + " was specified " + std::to_string(from.certificates.size()) + " times while " + name + "_key was specified " +
               std::to_string(from.keys.size()) + " times");
}

}  // namespace

Result<PemTexts> make_self_signed(KeyType type) {
  constexpr std::size_t rsa_bits = 2048;
  const KeyPtr key(type == KeyType::rsa ? EVP_RSA_gen(rsa_bits) : EVP_EC_gen("P-256"), EVP_PKEY_free);
  const X509Ptr certificate(X509_new(), X509_free);
  const BioPtr certificate_text(BIO_new(BIO_s_mem()));
  const BioPtr key_text(BIO_new(BIO_s_mem()));
  const bool made = key && certificate && certificate_text && key_text && fill_in(*certificate, *key) &&
                    PEM_write_bio_X509(certificate_text.get(), certificate.get()) == 1 &&
                    PEM_write_bio_PKCS8PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1;
  if (!made) return wrong("making a certificate: " + openssl_reason());
  return PemTexts{content_of(certificate_text), content_of(key_text)};
}

std::optional<std::string> pem_of_setting(const std::string& value) {
  std::error_code ignored;
  if (std::filesystem::exists(value, ignored)) {
    Result<std::string> text = read_file(value);
    return text ? std::optional(std::move(*text)) : std::nullopt;
  }
  constexpr std::string_view begin = "-----BEGIN ";
  if (value.find(begin) != std::string::npos) return value;
  std::string text = from_base64(value);
  return text.find(begin) != std::string::npos ? std::optional(std::move(text)) : std::nullopt;
}

Result<ServerCertificatePtr> load_default_certificate(const DefaultCertificate& from) {
  const Status counted = check_counts(from);
  if (!counted) return counted.error();
  std::vector<KeyPair> pairs;
  for (std::size_t i = 0; i < from.certificates.size(); ++i) {
    Result<KeyPair> pair = configured_pair(from, i);
    if (!pair) return pair.error();
    pairs.push_back(std::move(*pair));
  }
  if (pairs.empty()) {
    for (const KeyType type : {KeyType::rsa, KeyType::ecdsa}) {
      Result<KeyPair> pair = kept_pair(from, type);
      if (!pair) return pair.error();
      pairs.push_back(std::move(*pair));
    }
  }
  Result<ServerCertificatePtr> whole = make_server_certificate(std::move(pairs));
  if (!whole) return wrong(from.settings + "ssl_cert: " + whole.error().doing);
  return whole;
}

}  // namespace gateway::tls
