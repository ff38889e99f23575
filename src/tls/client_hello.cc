#include "tls/client_hello.h"

#include <optional>
#include <utility>

namespace gateway::tls {
namespace {

constexpr unsigned handshake_record = 22;
constexpr unsigned client_hello_message = 1;
constexpr std::size_t record_head_bytes = 5;
constexpr std::size_t message_head_bytes = 4;
constexpr std::size_t max_record_bytes = 16384;
constexpr std::size_t max_name_bytes = 255;
constexpr unsigned server_name_extension = 0;
constexpr unsigned host_name = 0;

ClientHello malformed() { return {ClientHello::State::malformed, {}}; }

/// Takes numbers and pieces off the front of bytes; fails for good at the first that is not there.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  unsigned number(std::size_t width) {
    unsigned value = 0;
    for (const char byte : piece(width)) value = value << 8 | static_cast<unsigned char>(byte);
    return value;
  }
  std::string_view piece(std::size_t size) {
    if (size > rest_.size()) failed_ = true;
    if (failed_) return {};
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  /// A piece with its length in front, in `width` bytes.
  std::string_view vector(std::size_t width) { return piece(number(width)); }

  [[nodiscard]] bool failed() const noexcept { return failed_; }
  [[nodiscard]] bool empty() const noexcept { return rest_.empty(); }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

bool read_server_name(std::string_view extension, ClientHello& out) {
  Reader reader(extension);
  Reader list(reader.vector(2));
  if (reader.failed() || !reader.empty() || list.empty()) return false;
  while (!list.empty()) {
    const unsigned kind = list.number(1);
    const std::string_view name = list.vector(2);
    if (list.failed()) return false;
    // Other kinds than names of hosts were never defined.
    if (kind != host_name) continue;
    if (name.empty() || name.size() > max_name_bytes || !out.server_name.empty()) return false;
    if (name.find('\0') != std::string_view::npos) return false;
    out.server_name = name;
  }
  return true;
}

bool read_extensions(std::string_view extensions, ClientHello& out) {
  Reader reader(extensions);
  bool named = false;
  while (!reader.empty()) {
    const unsigned kind = reader.number(2);
    const std::string_view content = reader.vector(2);
    if (reader.failed()) return false;
    if (kind != server_name_extension) continue;
    // Twice the same: who reads the first and who reads the last would see two different names.
    if (std::exchange(named, true) || !read_server_name(content, out)) return false;
  }
  return true;
}

bool read_message(std::string_view message, ClientHello& out) {
  Reader reader(message);
  const unsigned version = reader.number(2);
  reader.piece(32);  // random
  const std::string_view session = reader.vector(1);
  const std::string_view ciphers = reader.vector(2);
  const std::string_view compressions = reader.vector(1);
  if (reader.failed() || version >> 8 != 3 || session.size() > 32 || compressions.empty()) return false;
  if (ciphers.empty() || ciphers.size() % 2 != 0) return false;
  // Before TLS 1.3 a greeting may end here.
  if (reader.empty()) return true;
  const std::string_view extensions = reader.vector(2);
  return !reader.failed() && reader.empty() && read_extensions(extensions, out);
}

}  // namespace

ClientHello parse_client_hello(std::string_view bytes) {
  bytes = bytes.substr(0, max_client_hello_bytes);
  std::string gathered;      // only where the message is in several records
  std::string_view message;  // what has come of it, its head included
  std::optional<std::size_t> size;
  for (std::size_t at = 0;;) {
    const std::string_view rest = bytes.substr(at);
    // What is there of a record's head must be right already.
    if (!rest.empty() && static_cast<unsigned char>(rest[0]) != handshake_record) return malformed();
    if (rest.size() > 1 && rest[1] != 3) return malformed();
    if (rest.size() < record_head_bytes) break;
    const std::size_t length = Reader(rest.substr(3)).number(2);
    if (length == 0 || length > max_record_bytes) return malformed();
    const std::string_view part = rest.substr(record_head_bytes, length);
    if (message.empty()) {
      message = part;
    } else {
      if (gathered.empty()) gathered = message;
      message = gathered.append(part);
    }
    if (!message.empty() && static_cast<unsigned char>(message[0]) != client_hello_message) return malformed();
    if (!size && message.size() >= message_head_bytes) {
      size = message_head_bytes + Reader(message.substr(1)).number(3);
      if (*size > max_client_hello_bytes) return malformed();
    }
    // Nothing may follow it in its record: the client has to wait for our answer.
    if (size && message.size() - part.size() + length > *size) return malformed();
    if (part.size() < length) break;
    if (size && message.size() == *size) {
      ClientHello hello;
      if (!read_message(message.substr(message_head_bytes), hello)) return malformed();
      hello.state = ClientHello::State::complete;
      return hello;
    }
    at += record_head_bytes + length;
  }
  return bytes.size() < max_client_hello_bytes ? ClientHello{} : malformed();
}

}  // namespace gateway::tls
