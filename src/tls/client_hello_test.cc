#include "tls/client_hello.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

namespace gateway::tls {
namespace {

using State = ClientHello::State;

std::string number(std::size_t value, int width) {
  std::string out;
  for (int shift = 8 * (width - 1); shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
  return out;
}

std::string vector(const std::string& content, int width) { return number(content.size(), width) + content; }

std::string extension(unsigned kind, const std::string& content) { return number(kind, 2) + vector(content, 2); }

std::string server_name(const std::string& name) { return extension(0, vector('\0' + vector(name, 2), 2)); }

std::string message(const std::string& extensions) {
  const std::string body = std::string("\x03\x03") + std::string(32, 'r') + vector(std::string(32, 's'), 1) + vector("\x13\x01", 2) +
                           vector(std::string(1, '\0'), 1) + vector(extensions, 2);
  return '\x01' + vector(body, 3);
}

std::string record(const std::string& part) { return std::string("\x16\x03\x01") + vector(part, 2); }

std::string hello(const std::string& extensions) { return record(message(extensions)); }

// What OpenSSL itself sends.
std::string real_hello(const char* name) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL* ssl = SSL_new(context);
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
  if (name != nullptr) SSL_set_tlsext_host_name(ssl, name);
  SSL_set_connect_state(ssl);
  SSL_do_handshake(ssl);
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out, &bytes);
  const std::string said(bytes, static_cast<std::size_t>(size));
  SSL_free(ssl);
  SSL_CTX_free(context);
  return said;
}

TEST(ClientHello, TellsTheNameThatOpensslAsksFor) {
  const ClientHello read = parse_client_hello(real_hello("a.example.com"));
  EXPECT_EQ(read.state, State::complete);
  EXPECT_EQ(read.server_name, "a.example.com");
}

TEST(ClientHello, MayNameNobody) {
  const ClientHello read = parse_client_hello(real_hello(nullptr));
  EXPECT_EQ(read.state, State::complete);
  EXPECT_EQ(read.server_name, "");
}

TEST(ClientHello, IsIncompleteAtEveryBeginningOfIt) {
  const std::string whole = real_hello("a.example.com");
  for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_EQ(parse_client_hello(whole.substr(0, size)).state, State::incomplete) << size;
}

TEST(ClientHello, MayComeInRecordsOfAnySize) {
  const std::string whole = message(extension(10, "xx") + server_name("a.test") + extension(16, "yy"));
  for (std::size_t size = 1; size <= whole.size(); ++size) {
    std::string split;
    for (std::size_t at = 0; at < whole.size(); at += size) split += record(whole.substr(at, size));
    EXPECT_EQ(parse_client_hello(split.substr(0, split.size() - 1)).state, State::incomplete) << size;
    const ClientHello read = parse_client_hello(split);
    EXPECT_EQ(read.state, State::complete) << size;
    EXPECT_EQ(read.server_name, "a.test") << size;
  }
}

TEST(ClientHello, MayHaveNoExtensionsAtAll) {
  std::string body = std::string("\x03\x01") + std::string(32, 'r') + vector("", 1) + vector("\x13\x01", 2) + vector(std::string(1, '\0'), 1);
  EXPECT_EQ(parse_client_hello(record('\x01' + vector(body, 3))).state, State::complete);
}

TEST(ClientHello, OtherBytesAreRefusedAtTheFirstWrongOne) {
  EXPECT_EQ(parse_client_hello("G").state, State::malformed);
  EXPECT_EQ(parse_client_hello("\x80").state, State::malformed);                                      // SSL 2
  EXPECT_EQ(parse_client_hello("\x16\x02").state, State::malformed);                                  // no version of TLS
  EXPECT_EQ(parse_client_hello(std::string("\x16\x03\x01\x00\x00", 5)).state, State::malformed);      // an empty record
  EXPECT_EQ(parse_client_hello("\x16\x03\x01\x40\x01").state, State::malformed);                      // a record beyond 2^14 bytes
  EXPECT_EQ(parse_client_hello(std::string("\x16\x03\x01\x00\x05\x02", 6)).state, State::malformed);  // another message
}

TEST(ClientHello, WhatFollowsInItsRecordIsRefused) { EXPECT_EQ(parse_client_hello(record(message(server_name("a.test")) + "x")).state, State::malformed); }

TEST(ClientHello, LengthsThatDoNotAgreeAreRefused) {
  EXPECT_EQ(parse_client_hello(hello(std::string("\x00\x00\x00", 3))).state, State::malformed);
  EXPECT_EQ(parse_client_hello(hello(extension(0, std::string("\x00\x09\x00\x00\x01", 5) + "a"))).state, State::malformed);
  EXPECT_EQ(parse_client_hello(hello(extension(0, ""))).state, State::malformed);
  EXPECT_EQ(parse_client_hello(hello(extension(0, vector("", 2)))).state, State::malformed);
}

TEST(ClientHello, NamesThatCouldBeReadInTwoWaysAreRefused) {
  EXPECT_EQ(parse_client_hello(hello(server_name("a.test") + server_name("b.test"))).state, State::malformed);
  const std::string two = vector('\0' + vector("a.test", 2) + '\0' + vector("b.test", 2), 2);
  EXPECT_EQ(parse_client_hello(hello(extension(0, two))).state, State::malformed);
  EXPECT_EQ(parse_client_hello(hello(server_name(std::string("a\0b", 3)))).state, State::malformed);
  EXPECT_EQ(parse_client_hello(hello(server_name(""))).state, State::malformed);
  EXPECT_EQ(parse_client_hello(hello(server_name(std::string(256, 'a')))).state, State::malformed);
}

TEST(ClientHello, HasALimit) {
  EXPECT_EQ(parse_client_hello(hello(extension(21, std::string(12000, '\0')) + server_name("a.test"))).server_name, "a.test");
  // Told by its head alone.
  EXPECT_EQ(parse_client_hello(std::string("\x16\x03\x01\x40\x00\x01\x00\x40\x00", 9)).state, State::malformed);
  // Records of one byte each, without end.
  std::string drops;
  const std::string whole = message(extension(21, std::string(12000, '\0')));
  while (drops.size() < max_client_hello_bytes) drops += record(whole.substr(drops.size() / 6, 1));
  EXPECT_EQ(parse_client_hello(drops).state, State::malformed);
}

}  // namespace
}  // namespace gateway::tls
