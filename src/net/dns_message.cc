#include "net/dns_message.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "net/dns_name.h"

namespace gateway::net {
namespace {

constexpr std::size_t header_bytes = 12;
constexpr std::size_t longest_name = 253;  // as text; 255 bytes on the wire
constexpr std::uint16_t class_internet = 1;
constexpr std::size_t most_records = 512;  // a reply of 64 KiB holds some 4000 addresses: nobody means that

/// Reads a message from the front to the back; every step says whether there was enough of it.
class Reader {
 public:
  Reader(const std::uint8_t* bytes, std::size_t size) : bytes_(bytes), size_(size) {}

  bool skip(std::size_t count) {
    if (size_ - at_ < count) return false;
    at_ += count;
    return true;
  }
  bool read16(std::uint16_t& value) {
    if (size_ - at_ < 2) return false;
    value = static_cast<std::uint16_t>(bytes_[at_] << 8 | bytes_[at_ + 1]);
    at_ += 2;
    return true;
  }
  bool read32(std::uint32_t& value) {
    std::uint16_t high = 0;
    std::uint16_t low = 0;
    if (!read16(high) || !read16(low)) return false;
    value = static_cast<std::uint32_t>(high) << 16 | low;
    return true;
  }
  [[nodiscard]] std::size_t at() const noexcept { return at_; }
  [[nodiscard]] const std::uint8_t* here() const noexcept { return bytes_ + at_; }

  /// A name, from here on or where it points to. `printable` turns false when no host can be called so.
  bool read_name(std::string& name, bool& printable) {
    name.clear();
    std::size_t from = at_;
    bool pointed = false;
    for (;;) {
      if (from >= size_) return false;
      const std::uint8_t length = bytes_[from];
      if ((length & 0xc0) == 0xc0) {
        if (size_ - from < 2) return false;
        const std::size_t to = static_cast<std::size_t>(length & 0x3f) << 8 | bytes_[from + 1];
        if (!pointed) at_ = from + 2;
        pointed = true;
        // Only backwards: whoever follows pointers in a circle never ends.
        if (to >= from) return false;
        from = to;
        continue;
      }
      if (length > 63 || size_ - from - 1 < length) return false;
      ++from;
      if (length == 0) break;
      if (!name.empty()) name += '.';
      if (name.size() + length > longest_name) return false;
      for (std::size_t i = 0; i < length; ++i) {
        const std::uint8_t byte = bytes_[from + i];
        printable = printable && byte > 0x20 && byte < 0x7f && byte != '.' && byte != '\\';
        name += static_cast<char>(byte);
      }
      from += length;
    }
    if (!pointed) at_ = from;
    return true;
  }

 private:
  const std::uint8_t* bytes_;
  std::size_t size_;
  std::size_t at_ = 0;
};

/// Reads what follows a record's length. False: malformed.
bool read_data(Reader& reader, std::uint16_t length, DnsRecord& record, bool& printable) {
  const std::size_t end = reader.at() + length;
  switch (record.type) {
    case DnsType::a:
      if (length != 4) return false;
      record.ip = IpAddress::from_v4(reader.here());
      return reader.skip(length);
    case DnsType::aaaa:
      if (length != record.ip.bytes.size()) return false;
      std::memcpy(record.ip.bytes.data(), reader.here(), record.ip.bytes.size());
      return reader.skip(length);
    case DnsType::cname: break;
    case DnsType::srv:
      if (length < 7 || !reader.read16(record.priority) || !reader.read16(record.weight) || !reader.read16(record.port)) return false;
      break;
  }
  return reader.read_name(record.target, printable) && reader.at() == end;
}

bool is_known(std::uint16_t type) noexcept {
  return type == static_cast<std::uint16_t>(DnsType::a) || type == static_cast<std::uint16_t>(DnsType::aaaa) ||
         type == static_cast<std::uint16_t>(DnsType::cname) || type == static_cast<std::uint16_t>(DnsType::srv);
}

void keep_best_priority(std::vector<const DnsRecord*>& records) {
  std::erase_if(records, [](const DnsRecord* record) { return record->target.empty(); });
  std::uint16_t best = std::numeric_limits<std::uint16_t>::max();
  for (const DnsRecord* record : records) best = std::min(best, record->priority);
  std::erase_if(records, [best](const DnsRecord* record) { return record->priority != best; });
}

}  // namespace

std::string_view name_of(DnsType type) noexcept {
  switch (type) {
    case DnsType::a: return "A";
    case DnsType::cname: return "CNAME";
    case DnsType::aaaa: return "AAAA";
    case DnsType::srv: return "SRV";
  }
  return "";
}

std::optional<DnsMessage> DnsMessage::parse(const std::uint8_t* bytes, std::size_t size) {
  if (size < header_bytes) return std::nullopt;
  Reader reader(bytes, size);
  std::uint16_t questions = 0;
  std::uint16_t answers = 0;
  if (!reader.skip(4) || !reader.read16(questions) || !reader.read16(answers) || !reader.skip(4)) return std::nullopt;
  if (questions != 1) return std::nullopt;
  DnsMessage message;
  bool printable = true;
  if (!reader.read_name(message.question, printable) || !reader.skip(4)) return std::nullopt;

  for (std::uint16_t i = 0; i < answers; ++i) {
    DnsRecord record;
    std::uint16_t type = 0;
    std::uint16_t kind = 0;
    std::uint16_t length = 0;
    printable = true;
    if (!reader.read_name(record.owner, printable) || !reader.read16(type) || !reader.read16(kind) || !reader.read32(record.ttl) || !reader.read16(length)) {
      return std::nullopt;
    }
    Reader beyond = reader;
    if (!beyond.skip(length)) return std::nullopt;
    if (record.ttl > std::uint32_t{0x7fffffff}) record.ttl = 0;
    if (is_known(type) && kind == class_internet) {
      record.type = static_cast<DnsType>(type);
      if (!read_data(reader, length, record, printable)) return std::nullopt;
      if (printable && message.answers.size() < most_records) message.answers.push_back(std::move(record));
    }
    reader = beyond;
  }
  return message;
}

DnsFindings find_records(const DnsMessage& message, DnsType type) {
  DnsFindings found;
  found.ttl = std::numeric_limits<std::uint32_t>::max();
  const DnsNameEqual same;
  std::string_view name = message.question;
  // Each CNAME is followed at most once, however they are wound.
  for (std::size_t steps = 0; steps <= message.answers.size(); ++steps) {
    const DnsRecord* alias = nullptr;
    for (const DnsRecord& record : message.answers) {
      if (!same(record.owner, name)) continue;
      if (record.type == type && type != DnsType::cname) {
        found.records.push_back(&record);
        found.ttl = std::min(found.ttl, record.ttl);
      } else if (record.type == DnsType::cname && alias == nullptr) {
        alias = &record;
      }
    }
    if (!found.records.empty() || alias == nullptr) break;
    found.ttl = std::min(found.ttl, alias->ttl);
    name = alias->target;
    found.alias = name;
  }
  if (type == DnsType::srv) keep_best_priority(found.records);
  if (!found.records.empty()) found.alias.clear();
  return found;
}

}  // namespace gateway::net
