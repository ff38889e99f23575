#include "snapshot/trust_book.h"

#include <gtest/gtest.h>

namespace gateway::snapshot {
namespace {

using nlohmann::json;

constexpr const char* certificate_id = "00000000-0000-0000-0000-0000000000c1";
constexpr const char* upstream_id = "00000000-0000-0000-0000-0000000000a1";

entity::Service service(const std::string& host, unsigned depth = 1) {
  entity::Service out;
  out.protocol = entity::Protocol::https;
  out.host = host;
  out.tls_verify = true;
  out.tls_verify_depth = depth;
  return out;
}

store::Change upstream(const char* name, bool shows) {
  store::Change change;
  change.entity = "upstreams";
  change.id = *Uuid::parse(upstream_id);
  if (name != nullptr) {
    change.after = {{"id", upstream_id}, {"name", name}, {"algorithm", "round-robin"}};
    if (shows) change.after["client_certificate"] = {{"id", certificate_id}};
  }
  return change;
}

class TrustBookTest : public testing::Test {
 protected:
  TrustBook book{ServiceTrust{}};
  Snapshot none{0, router::Table(router::Flavour::traditional), {}, {}};
};

TEST_F(TrustBookTest, ServicesThatTrustAlikeShareAContext) {
  const auto first = book.context_for(service("a.test"), none);
  const auto second = book.context_for(service("b.test"), none);
  const auto other = book.context_for(service("a.test", 2), none);
  ASSERT_TRUE(first && second && other);
  EXPECT_EQ(*first, *second);
  EXPECT_NE(*first, *other);
}

TEST_F(TrustBookTest, AContextGoesWithItsLastService) {
  std::weak_ptr<const tls::ClientContext> watched;
  {
    const auto made = book.context_for(service("a.test"), none);
    ASSERT_TRUE(made);
    watched = *made;
  }
  EXPECT_TRUE(watched.expired());
  for (unsigned depth = 0; depth < 200; ++depth) EXPECT_TRUE(book.context_for(service("a.test", depth), none));
  EXPECT_TRUE(book.context_for(service("a.test"), none)) << "and is made again";
}

TEST_F(TrustBookTest, ClearTextNeedsNone) {
  entity::Service clear = service("a.test");
  clear.protocol = entity::Protocol::http;
  const auto context = book.context_for(clear, none);
  ASSERT_TRUE(context);
  EXPECT_EQ(*context, nullptr);
}

TEST_F(TrustBookTest, WhatIsMissingIsNamed) {
  entity::Service one = service("a.test");
  one.ca_certificates = {*Uuid::parse(certificate_id)};
  const auto context = book.context_for(one, none);
  ASSERT_FALSE(context);
  EXPECT_NE(context.error().doing.find(certificate_id), std::string::npos);
}

TEST_F(TrustBookTest, TellsWhenServicesShowAnotherCertificate) {
  EXPECT_FALSE(book.apply(upstream("a.internal", false)));
  EXPECT_TRUE(book.apply(upstream("a.internal", true)));
  EXPECT_FALSE(book.apply(upstream("a.internal", true)));
  EXPECT_FALSE(book.context_for(service("a.internal"), none)) << "the certificate is not there";
  EXPECT_TRUE(book.apply(upstream("b.internal", true))) << "the name is another's now";
  EXPECT_TRUE(book.context_for(service("a.internal"), none));
  EXPECT_FALSE(book.context_for(service("b.internal"), none));
  EXPECT_TRUE(book.apply(upstream(nullptr, false)));
  EXPECT_TRUE(book.context_for(service("b.internal"), none));
}

TEST_F(TrustBookTest, AnotherHostHasTheCertificateOfItsOwnUpstream) {
  book.apply(upstream("a.internal", true));
  EXPECT_TRUE(book.context_for(service("a.internal"), "b.test", none)) << "what is no upstream needs none";
  EXPECT_FALSE(book.context_for(service("b.test"), "a.internal", none)) << "the certificate is not there";
  entity::Service own = service("a.internal");
  own.client_certificate = *Uuid::parse("00000000-0000-0000-0000-0000000000c2");
  const auto context = book.context_for(own, "b.test", none);
  ASSERT_FALSE(context);
  EXPECT_NE(context.error().doing.find("c2"), std::string::npos) << "a service's own goes before";
}

}  // namespace
}  // namespace gateway::snapshot
