#include "net/dns_message.h"

#include <gtest/gtest.h>

namespace gateway::net {
namespace {

using namespace std::string_literals;

std::optional<DnsMessage> parse(const std::string& bytes) { return DnsMessage::parse(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()); }

std::string header(char questions, char answers) { return "\1\2\x81\x80\0"s + questions + '\0' + answers + "\0\0\0\0"s; }

// The question is at 12: "a.test", type A; the first answer at 24.
const std::string question = "\1a\4test\0\0\1\0\1"s;
const std::string of_question = "\xc0\x0c"s;

std::string record(const std::string& owner, char type, const std::string& data, const std::string& ttl = "\0\0\0\x3c"s) {
  return owner + '\0' + type + "\0\1"s + ttl + '\0' + static_cast<char>(data.size()) + data;
}

TEST(DnsMessage, ReadsAddressesAliasesAndServices) {
  const auto message = parse(header(1, 4) + question + record(of_question, 1, "\x0a\0\0\1"s) + record(of_question, 5, "\1b\xc0\x0e"s) +
                             record("\1C\xc0\x0e"s, 28, "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"s) + record(of_question, 33, "\0\1\0\2\x1f\x90\1d\0"s));
  ASSERT_TRUE(message);
  EXPECT_EQ(message->question, "a.test");
  ASSERT_EQ(message->answers.size(), 4U);
  EXPECT_EQ(message->answers[0].owner, "a.test");
  EXPECT_EQ(message->answers[0].ip.to_string(), "10.0.0.1");
  EXPECT_EQ(message->answers[0].ttl, 60U);
  EXPECT_EQ(message->answers[1].target, "b.test");
  EXPECT_EQ(message->answers[2].owner, "C.test");
  EXPECT_EQ(message->answers[2].ip.to_string(), "2001:db8::1");
  const DnsRecord& service = message->answers[3];
  EXPECT_EQ(service.priority, 1);
  EXPECT_EQ(service.weight, 2);
  EXPECT_EQ(service.port, 8080);
  EXPECT_EQ(service.target, "d");
}

TEST(DnsMessage, RefusesWhatIsMalformed) {
  const std::string whole = header(1, 1) + question + record(of_question, 33, "\0\1\0\2\0\3\1b\xc0\x0e"s);
  ASSERT_TRUE(parse(whole));
  for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(parse(whole.substr(0, size))) << size;
  const std::pair<const char*, std::string> cases[] = {
      {"no question", header(0, 0)},
      {"two questions", header(2, 0) + question + question},
      {"a pointer to itself", header(1, 1) + question + record("\xc0\x18"s, 1, "\1\2\3\4")},
      {"a pointer forwards", header(1, 1) + question + record("\xc0\x30"s, 1, "\1\2\3\4")},
      {"a circle by way of a label", header(1, 1) + question + record("\1x\xc0\x18"s, 1, "\1\2\3\4")},
      {"a label of a kind that never was", header(1, 0) + "\x80x\0\0\1\0\1"s},
      {"a label of 64 bytes", header(1, 0) + '\x40' + std::string(64, 'x') + "\0\0\1\0\1"s},
      {"an address of three bytes", header(1, 1) + question + record(of_question, 1, "\1\2\3")},
      {"an address of five bytes", header(1, 1) + question + record(of_question, 1, "\1\2\3\4\5")},
      {"a short IPv6 address", header(1, 1) + question + record(of_question, 28, "\1\2\3\4")},
      {"a service without a target", header(1, 1) + question + record(of_question, 33, "\0\1\0\2\0\3"s)},
      {"bytes after a target", header(1, 1) + question + record(of_question, 5, "\1b\0x"s)},
      {"a target that ends beyond its record", header(1, 1) + question + record(of_question, 5, "\4b"s) + "xxx\0"s},
  };
  for (const auto& [what, bytes] : cases) EXPECT_FALSE(parse(bytes)) << what;
}

TEST(DnsMessage, ANameHas255BytesAtMost) {
  const std::string label = '\x3f' + std::string(63, 'x');
  const std::string rest = "\0\0\1\0\1"s;
  EXPECT_TRUE(parse(header(1, 0) + label + label + label + '\x3d' + std::string(61, 'x') + rest));
  EXPECT_FALSE(parse(header(1, 0) + label + label + label + label + rest));
}

TEST(DnsMessage, PassesOverWhatIsOfNoConcern) {
  std::string chaos = record(of_question, 1, "\1\2\3\4");
  chaos[5] = 3;
  const auto message =
      parse(header(1, 4) + question + record(of_question, 16, "\3txt") + chaos + record("\3a b\0"s, 1, "\1\2\3\4") + record(of_question, 5, "\3b.c\0"s));
  ASSERT_TRUE(message);
  EXPECT_TRUE(message->answers.empty());
}

TEST(DnsMessage, ATtlBeyondItsRangeIsZero) {
  const auto message = parse(header(1, 1) + question + record(of_question, 1, "\1\2\3\4", "\x80\0\0\0"s));
  ASSERT_TRUE(message);
  EXPECT_EQ(message->answers[0].ttl, 0U);
}

DnsRecord address(const std::string& owner, const std::string& ip, std::uint32_t ttl = 60) {
  DnsRecord made;
  made.owner = owner;
  made.ttl = ttl;
  made.ip = *IpAddress::parse(ip);
  return made;
}
DnsRecord alias(const std::string& owner, const std::string& target, std::uint32_t ttl = 60) {
  DnsRecord made;
  made.owner = owner;
  made.type = DnsType::cname;
  made.ttl = ttl;
  made.target = target;
  return made;
}

TEST(FindRecords, FollowsAliasesInAnyOrderAndTakesTheLeastTtl) {
  const DnsMessage message{"A.test", {address("c.test", "10.0.0.1", 50), alias("b.test", "C.test", 40), alias("a.test", "b.test", 45)}};
  const DnsFindings found = find_records(message, DnsType::a);
  ASSERT_EQ(found.records.size(), 1U);
  EXPECT_EQ(found.ttl, 40U);
  EXPECT_TRUE(found.alias.empty());
  EXPECT_EQ(find_records(message, DnsType::aaaa).alias, "C.test");
  EXPECT_EQ(find_records(message, DnsType::cname).alias, "C.test");
}

TEST(FindRecords, TakesNothingThatBelongsToOthers) {
  const DnsMessage message{"a.test", {address("victim.test", "10.6.6.6"), alias("other.test", "a.test")}};
  const DnsFindings found = find_records(message, DnsType::a);
  EXPECT_TRUE(found.records.empty());
  EXPECT_TRUE(found.alias.empty());
}

TEST(FindRecords, ACircleOfAliasesEnds) {
  const DnsMessage message{"a.test", {alias("a.test", "b.test"), alias("b.test", "a.test")}};
  EXPECT_FALSE(find_records(message, DnsType::a).alias.empty());
}

}  // namespace
}  // namespace gateway::net
