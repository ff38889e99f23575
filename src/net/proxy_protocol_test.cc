#include "net/proxy_protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace gateway::net {
namespace {

using State = ProxyHeader::State;
using std::string_literals::operator""s;

const std::string signature = "\r\n\r\n\0\r\nQUIT\n"s;

std::string v2(char command, char family, const std::string& payload) {
  return signature + command + family + static_cast<char>(payload.size() >> 8) + static_cast<char>(payload.size()) + payload;
}

std::string ends(const std::optional<SocketAddress>& source, const std::optional<SocketAddress>& destination) {
  return (source ? source->to_string() : "-") + " " + (destination ? destination->to_string() : "-");
}

std::string ends(const ProxyHeader& header) { return ends(header.source, header.destination); }

TEST(ProxyHeader, OfVersion1TellsBothEnds) {
  const ProxyHeader four = parse_proxy_header("PROXY TCP4 192.0.2.7 192.0.2.1 56324 443\r\nGET /");
  EXPECT_EQ(four.state, State::complete);
  EXPECT_EQ(four.size, 42U);
  EXPECT_EQ(ends(four), "192.0.2.7:56324 192.0.2.1:443");
  EXPECT_EQ(ends(parse_proxy_header("PROXY TCP6 2001:db8::7 ::1 1 65535\r\n")), "[2001:db8::7]:1 [::1]:65535");
}

TEST(ProxyHeader, MayKnowNothing) {
  for (const std::string& text : {"PROXY UNKNOWN\r\n"s, "PROXY UNKNOWN a b c d\r\n"s, v2(0x20, 0x11, std::string(12, 'x')), v2(0x21, 0, ""), v2(0x20, 0, ""),
                                  v2(0x21, 0x31, std::string(216, '/'))}) {
    const ProxyHeader header = parse_proxy_header(text);
    EXPECT_EQ(header.state, State::complete) << text;
    EXPECT_EQ(header.size, text.size());
    EXPECT_EQ(ends(header), "- -");
  }
}

TEST(ProxyHeader, OfVersion2TellsBothEndsAndMayCarryMore) {
  const std::string four = "\xC0\0\2\7\xC0\0\2\1\x01\x02\x01\xBB"s;
  EXPECT_EQ(ends(parse_proxy_header(v2(0x21, 0x11, four))), "192.0.2.7:258 192.0.2.1:443");
  const std::string more = v2(0x21, 0x12, four + "\x04\0\1x"s);
  const ProxyHeader header = parse_proxy_header(more + "rest");
  EXPECT_EQ(header.size, more.size());
  EXPECT_EQ(ends(header), "192.0.2.7:258 192.0.2.1:443");
  const std::string six = std::string(15, '\0') + "\1" + std::string(15, '\0') + "\2" + "\0\1\0\2"s;
  EXPECT_EQ(ends(parse_proxy_header(v2(0x21, 0x21, six))), "[::1]:1 [::2]:2");
}

TEST(ProxyHeader, IsIncompleteUntilItsLastByte) {
  const std::string four = "\xC0\0\2\7\xC0\0\2\1\x01\x02\x01\xBB"s;
  for (const std::string& text :
       {"PROXY TCP4 192.0.2.7 192.0.2.1 56324 443\r\n"s, "PROXY UNKNOWN\r\n"s, v2(0x21, 0x11, four), v2(0x21, 0x11, std::string(4096, '\1'))}) {
    for (std::size_t size = 0; size < text.size(); ++size) {
      ASSERT_EQ(parse_proxy_header(std::string_view(text).substr(0, size)).state, State::incomplete) << size << " of " << text;
    }
    EXPECT_EQ(parse_proxy_header(text).state, State::complete) << text;
  }
}

TEST(ProxyHeader, IsRefusedAsSoonAsItIsWrong) {
  const std::string long_line = "PROXY TCP4 192.0.2.7 192.0.2.1 56324 443" + std::string(100, ' ');
  for (const std::string& text : {"GET / HTTP/1.1\r\n"s,
                                  "\r\nG"s,
                                  "PROXY\r"s,
                                  "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n"s,
                                  "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rx"s,
                                  "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"s,
                                  "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n"s,
                                  "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n"s,
                                  "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n"s,
                                  "PROXY TCP4 1.2.3.4 1.2.3.4  2\r\n"s,
                                  "PROXY TCP4 ::1 ::1 1 2\r\n"s,
                                  "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n"s,
                                  "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n"s,
                                  "PROXY TCP4 1.2.3.4 1.2.3.256 1 2\r\n"s,
                                  long_line,
                                  v2(0x11, 0x11, std::string(12, 'x')),
                                  v2(0x22, 0x11, std::string(12, 'x')),
                                  v2(0x21, 0x41, std::string(12, 'x')),
                                  v2(0x21, 0x13, std::string(12, 'x')),
                                  v2(0x21, 0x11, std::string(11, 'x')),
                                  v2(0x21, 0x21, std::string(35, 'x')),
                                  signature + "\x21\x11\x10\x01"s}) {
    EXPECT_EQ(parse_proxy_header(text).state, State::malformed) << text;
  }
}

TEST(ProxyHeader, IsReadAsItWasWritten) {
  for (const auto& [source, destination] : {std::pair("192.0.2.7", "192.0.2.1"), std::pair("2001:db8::7", "::1")}) {
    const std::optional<SocketAddress> from = SocketAddress::from_ip(source, 1234);
    const std::optional<SocketAddress> to = SocketAddress::from_ip(destination, 443);
    EXPECT_EQ(ends(parse_proxy_header(write_proxy_header(*from, *to))), ends(from, to));
  }
  const std::string mixed = write_proxy_header(*SocketAddress::from_ip("::1", 1), *SocketAddress::from_ip("127.0.0.1", 2));
  const ProxyHeader header = parse_proxy_header(mixed);
  EXPECT_EQ(header.state, State::complete);
  EXPECT_EQ(header.size, mixed.size());
  EXPECT_EQ(ends(header), "- -");
}

}  // namespace
}  // namespace gateway::net
