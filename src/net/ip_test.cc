#include "net/ip.h"

#include <gtest/gtest.h>

namespace gateway::net {
namespace {

bool in(const CidrSet& set, std::string_view ip) { return set.contains(*IpAddress::parse(ip)); }

TEST(IpAddress, ReadsOnlyWholeAddresses) {
  for (const char* good : {"1.2.3.4", "0.0.0.0", "255.255.255.255", "::", "::1", "2001:db8::ff", "fe80::1"}) {
    const auto ip = IpAddress::parse(good);
    ASSERT_TRUE(ip) << good;
    EXPECT_EQ(ip->to_string(), good);
  }
  for (const char* bad : {"", "1.2.3", "1.2.3.4.5", "01.2.3.4", "256.1.1.1", " 1.2.3.4", "1.2.3.4 ", "1.2.3.4:80", "[::1]", "fe80::1%eth0", "1.2.3.4/8",
                          "::1::", "0x7f.1", "localhost"}) {
    EXPECT_FALSE(IpAddress::parse(bad)) << bad;
  }
  EXPECT_FALSE(IpAddress::parse(std::string_view("1.2.3.4\0x", 9)));
}

TEST(IpAddress, AMappedIpv4AddressIsThatIpv4Address) {
  EXPECT_EQ(IpAddress::parse("::ffff:1.2.3.4"), IpAddress::parse("1.2.3.4"));
  EXPECT_TRUE(IpAddress::parse("::ffff:1.2.3.4")->is_v4());
  EXPECT_FALSE(IpAddress::parse("::1.2.3.4")->is_v4());
}

TEST(IpAddress, GoesToASocketAddressAndBack) {
  for (const char* text : {"10.1.2.3", "2001:db8::1"}) {
    const IpAddress ip = *IpAddress::parse(text);
    EXPECT_EQ(ip.with_port(8080), *SocketAddress::from_ip(text, 8080));
    EXPECT_EQ(IpAddress::from(ip.with_port(8080)), ip);
  }
  EXPECT_FALSE(IpAddress::from(*SocketAddress::from_path("/tmp/s")));
}

TEST(CidrSet, ContainsItsNetworksAndNothingElse) {
  CidrSet set;
  EXPECT_TRUE(set.empty());
  EXPECT_FALSE(in(set, "10.0.0.1"));
  EXPECT_TRUE(set.add("10.0.0.0/8"));
  EXPECT_TRUE(set.add("192.168.1.77/24"));  // host bits are ignored
  EXPECT_TRUE(set.add("203.0.113.5"));
  EXPECT_TRUE(set.add("172.16.0.0/12"));
  EXPECT_TRUE(set.add("fd00::/9"));
  EXPECT_FALSE(set.empty());
  for (const char* ip : {"10.0.0.0", "10.255.255.255", "192.168.1.0", "192.168.1.255", "203.0.113.5", "172.31.0.1", "fd7f::1", "::ffff:10.0.0.1"}) {
    EXPECT_TRUE(in(set, ip)) << ip;
  }
  for (const char* ip : {"9.255.255.255", "11.0.0.0", "192.168.2.0", "203.0.113.4", "203.0.113.6", "172.32.0.0", "fd80::", "::1"}) {
    EXPECT_FALSE(in(set, ip)) << ip;
  }
}

TEST(CidrSet, NestedNetworksAreAddedInAnyOrder) {
  CidrSet set;
  for (const char* network : {"10.1.0.0/16", "10.3.0.0/16", "10.0.0.0/8", "10.2.0.0/16", "9.0.0.0/8"}) EXPECT_TRUE(set.add(network));
  EXPECT_TRUE(in(set, "10.200.0.1"));
  EXPECT_TRUE(in(set, "10.1.0.1"));
  EXPECT_TRUE(in(set, "9.1.0.1"));
  EXPECT_FALSE(in(set, "11.0.0.0"));
}

TEST(CidrSet, ZeroBitsIsEveryAddressOfTheFamily) {
  CidrSet v4;
  EXPECT_TRUE(v4.add("0.0.0.0/0"));
  EXPECT_TRUE(in(v4, "255.255.255.255"));
  EXPECT_FALSE(in(v4, "2001:db8::1"));
  CidrSet all;
  EXPECT_TRUE(all.add("::/0"));
  EXPECT_TRUE(in(all, "1.1.1.1"));
  EXPECT_TRUE(in(all, "ffff::"));
}

TEST(CidrSet, RefusesWhatIsNoNetwork) {
  CidrSet set;
  for (const char* bad :
       {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8 ", "10.0.0.0/8/8", "10/8", "::/129", "::/1x", "unix:"}) {
    EXPECT_FALSE(set.add(bad)) << bad;
  }
  EXPECT_TRUE(set.empty());
}

}  // namespace
}  // namespace gateway::net
