// What is read of a DNS reply are names a host can have, within their limits; following aliases ends.
#include "net/dns_message.h"

#include <cstdint>
#include <cstdlib>

using namespace gateway::net;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::optional<DnsMessage> message = DnsMessage::parse(data, size);
  if (!message) return 0;
  for (const DnsRecord& record : message->answers) {
    if (record.owner.size() > 255 || record.target.size() > 255 || record.ttl > 0x7fffffff) std::abort();
    for (const char c : record.owner + record.target) {
      if (c <= ' ' || c > '~' || c == '\\') std::abort();
    }
  }
  for (const DnsType type : {DnsType::a, DnsType::cname, DnsType::aaaa, DnsType::srv}) {
    const DnsFindings found = find_records(*message, type);
    for (const DnsRecord* record : found.records) {
      if (record->type != type) std::abort();
    }
  }
  return 0;
}
