#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/ip.h"

namespace gateway::net {

/// Record types of DNS that find addresses (RFC 1035, 3596 and 2782). The values are those on the wire.
enum class DnsType : std::uint16_t { a = 1, cname = 5, aaaa = 28, srv = 33 };

std::string_view name_of(DnsType type) noexcept;  ///< "A", "CNAME", "AAAA", "SRV"

/// One record of an answer.
struct DnsRecord {
  std::string owner;  ///< without its last dot
  DnsType type = DnsType::a;
  std::uint32_t ttl = 0;  ///< seconds
  IpAddress ip;           ///< of A and AAAA
  std::string target;     ///< of CNAME and SRV, without its last dot; "" is the root
  std::uint16_t priority = 0, weight = 0, port = 0;
};

/// What a name server answered, as far as it concerns addresses.
struct DnsMessage {
  std::string question;  ///< the name asked for, without its last dot
  std::vector<DnsRecord> answers;

  /// Reads a reply's bytes. Records of other types or classes are passed over, and so are those whose names no host can
  /// have (a dot, a backslash or a byte that does not print within a label).
  ///
  /// Returns  nullopt when it is malformed: cut short, not one question, names that are too long or point forwards.
  /// Source   RFC 1035, section 4.1; RFC 2181, section 8 (a TTL with its highest bit set is zero).
  static std::optional<DnsMessage> parse(const std::uint8_t* bytes, std::size_t size);
};

/// What an answer says about one type.
struct DnsFindings {
  std::vector<const DnsRecord*> records;  ///< of the type; of SRV only the best priority, without targets that say "no such service"
  std::string alias;                      ///< when there are none: the name to ask instead, "" for none
  std::uint32_t ttl = 0;                  ///< seconds: the least of all records on the way
};

/// Follows the CNAMEs within a message from its question to records of the type. Records that belong to no name on that way
/// are none of the answer. The records live as long as the message.
DnsFindings find_records(const DnsMessage& message, DnsType type);

}  // namespace gateway::net
