#include "tls/server_names.h"

#include <gtest/gtest.h>

#include <string>

#include "base/test_allocations.h"

namespace gateway::tls {
namespace {

ServerCertificatePtr some() { return std::make_shared<const ServerCertificate>(); }

TEST(ServerNames, TheNameItselfGoesBeforeItsWildcards) {
  const auto exact = some(), first = some(), last = some(), any = some();
  ServerNames names;
  names.set("*", any);
  names.set("a.b.*", last);
  names.set("*.b.com", first);
  names.set("a.b.com", exact);
  EXPECT_EQ(names.find("a.b.com"), exact.get());
  names.erase("a.b.com");
  EXPECT_EQ(names.find("a.b.com"), first.get());
  names.erase("*.b.com");
  EXPECT_EQ(names.find("a.b.com"), last.get());
  names.erase("a.b.*");
  EXPECT_EQ(names.find("a.b.com"), any.get());
  names.erase("*");
  EXPECT_EQ(names.find("a.b.com"), nullptr);
  EXPECT_EQ(names.size(), 0U);
}

TEST(ServerNames, AWildcardStandsForOneLabel) {
  const auto first = some(), last = some();
  ServerNames names;
  names.set("*.b.com", first);
  names.set("example.*", last);
  EXPECT_EQ(names.find("x.b.com"), first.get());
  EXPECT_EQ(names.find("b.com"), nullptr);
  EXPECT_EQ(names.find("x.y.b.com"), nullptr);
  EXPECT_EQ(names.find("example.org"), last.get());
  EXPECT_EQ(names.find("example.co.uk"), nullptr);
  EXPECT_EQ(names.find("example"), nullptr);
}

TEST(ServerNames, ALeadingWildcardNeedsThreeLabels) {
  const auto top = some();
  ServerNames names;
  names.set("*.com", top);
  EXPECT_EQ(names.find("a.com"), nullptr);
}

TEST(ServerNames, CaseAndTheRootsDotDoNotCount) {
  const auto one = some(), wild = some();
  ServerNames names;
  names.set("WWW.Example.com.", one);
  names.set("*.B.com", wild);
  EXPECT_EQ(names.find("www.eXample.COM"), one.get());
  EXPECT_EQ(names.find("www.example.com."), one.get());
  EXPECT_EQ(names.find("A.b.COM"), wild.get());
}

TEST(ServerNames, WhatIsNoNameFindsNothing) {
  const auto any = some();
  ServerNames names;
  names.set("*", any);
  for (const std::string& bad : {std::string(), std::string("."), std::string("*"), std::string("*.com"), std::string("a..b"), std::string(".a"),
                                 std::string("a b"), std::string("a-.com"), std::string("a\0b", 3), std::string("127.0.0.1"), std::string("::1"),
                                 std::string("a.com:443"), std::string("a/b"), std::string(254, 'a'), std::string("ä.de")}) {
    EXPECT_EQ(names.find(bad), nullptr) << bad;
  }
  EXPECT_EQ(names.find(std::string(253, 'a')), any.get());
  EXPECT_EQ(names.find("1.2.3.com"), any.get());
  EXPECT_EQ(names.find("a_b.c-d.e"), any.get());
}

TEST(ServerNames, LookingTakesNothingFromTheHeap) {
  const auto any = some();
  ServerNames names;
  names.set("*", any);
  names.set("a-name-that-is-too-long-to-be-kept-in-a-string-itself.example.com", any);
  const std::string found = "A-name-that-is-too-long-to-be-kept-in-a-string-itself.example.com";
  const std::string other = "another-name-that-is-too-long-to-be-kept-in-a-string-itself.example.com";
  allocations::counting = true;
  const bool both = names.find(found) != nullptr && names.find(other) != nullptr;
  allocations::counting = false;
  EXPECT_TRUE(both);
  EXPECT_EQ(allocations::count, 0);
}

TEST(ServerNames, ACopyKeepsWhatItHad) {
  const auto old = some(), fresh = some();
  ServerNames names;
  for (int i = 0; i < 5000; ++i) names.set("host" + std::to_string(i) + ".com", old);
  const ServerNames before = names;
  names.set("host7.com", fresh);
  names.erase("host8.com");
  EXPECT_EQ(before.find("host7.com"), old.get());
  EXPECT_EQ(before.find("host8.com"), old.get());
  EXPECT_EQ(names.find("host7.com"), fresh.get());
  EXPECT_EQ(names.find("host8.com"), nullptr);
  EXPECT_EQ(before.size(), 5000U);
  EXPECT_EQ(names.size(), 4999U);
}

}  // namespace
}  // namespace gateway::tls
