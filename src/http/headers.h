#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <string_view>
#include <utility>

#include "base/arena.h"

namespace gateway::http {

/// Memory that lives as long as one request.
using gateway::Arena;

/// Header names the gateway itself must recognise; found once, when the head is parsed.
enum class Name : std::uint8_t {
  other,
  accept,
  authorization,
  connection,
  content_length,
  content_type,
  date,
  expect,
  host,
  keep_alive,
  proxy_authorization,
  proxy_connection,
  proxy,
  server,
  te,
  trailer,
  transfer_encoding,
  upgrade,
  user_agent,
  via,
  x_anonymous_consumer,
  x_consumer_custom_id,
  x_consumer_id,
  x_consumer_username,
  x_credential_identifier,
  x_forwarded_for,
  x_forwarded_host,
  x_forwarded_path,
  x_forwarded_port,
  x_forwarded_prefix,
  x_forwarded_proto,
  x_kong_proxy_latency,
  x_kong_request_id,
  x_kong_response_latency,
  x_kong_upstream_latency,
  x_real_ip,
};

/// Case-insensitive; Name::other when the gateway has no interest of its own in it.
[[nodiscard]] Name classify(std::string_view name) noexcept;

/// The usual spelling: "Content-Length". Empty for Name::other.
[[nodiscard]] std::string_view spelling(Name name) noexcept;

namespace detail {
[[nodiscard]] bool same_letters(const char* a, const char* b, std::size_t size) noexcept;
}

/// ASCII only, as header names are.
[[nodiscard]] inline bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && detail::same_letters(a.data(), b.data(), a.size());
}

/// True when a comma separated list value has `token` (case-insensitive) as a member.
[[nodiscard]] bool list_contains(std::string_view list, std::string_view token) noexcept;

struct Header {
  std::string_view name;   ///< as it came
  std::string_view value;  ///< without surrounding white space
  Name id = Name::other;
  bool of_this_hop = false;  ///< Connection names it (RFC 9110, 7.6.1): not to be passed on
  bool checked = false;      ///< no control characters are in the value: a parser has looked, or it is of our own making
};

/// Not framing, routing, authentication, nor what we ourselves set: those must not come behind a body (RFC 9110, 6.5.1).
[[nodiscard]] bool may_be_trailer(const Header& field) noexcept;

/// A flat list in the order and spelling it came in. Names and values are views: into the connection's
/// input buffer or the request's arena, both of which outlive the list.
class Headers {
 public:
  explicit Headers(Arena& arena) : arena_(&arena) {}
  Headers(const Headers& other) : arena_(other.arena_) { set_all(other); }
  /// Into its own arena.
  Headers& operator=(const Headers& other) {
    if (this == &other) return *this;
    clear();
    set_all(other);
    return *this;
  }

  [[nodiscard]] const Header* find(Name id) const noexcept;  ///< first of that name
  [[nodiscard]] const Header* find(std::string_view name) const noexcept;
  [[nodiscard]] std::string_view value(Name id) const noexcept;  ///< first value; empty when absent
  [[nodiscard]] std::string_view value(std::string_view name) const noexcept;
  [[nodiscard]] std::size_t count(std::string_view name) const noexcept;

  /// Views must outlive the list: use `keep` for text that does not.
  void add(std::string_view name, std::string_view value);
  void add(Name id, std::string_view value) { add(Header{spelling(id), value, id}); }
  void add(const Header& header) {
    note(header.id, header.name);
    if (size_ == room_) [[unlikely]]
      make_room(size_ + 1);
    new (list_ + size_++) Header(header);
  }
  /// Replaces the first and removes the rest, or adds. What is set here is meant for the next hop.
  void set(std::string_view name, std::string_view value);
  void set(Name id, std::string_view value);
  /// The same; an empty value removes.
  void set_or_remove(Name id, std::string_view value);
  /// The same as set, by a name that has been classified.
  void set(const Header& header) {
    if (may_have(header.id, header.name)) return replace(header);
    add(header);
  }
  /// The same as set for each of them, in their order. No name comes twice among them.
  void set_all(std::span<const Header> headers);
  void set_all(const Headers& headers);
  std::size_t remove(std::string_view name);  ///< how many there were
  std::size_t remove(Name id);
  void clear() noexcept {
    size_ = 0;
    present_ = others_ = 0;
  }
  void reserve(std::size_t count) {
    if (count > room_) make_room(count);
  }

  /// Copies text into the arena.
  [[nodiscard]] std::string_view keep(std::string_view text) const;

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] const Header* begin() const noexcept { return list_; }
  [[nodiscard]] const Header* end() const noexcept { return list_ + size_; }
  [[nodiscard]] Header* begin() noexcept { return list_; }
  [[nodiscard]] Header* end() noexcept { return list_ + size_; }
  /// Returns how many there were.
  template <class Predicate>
  std::size_t erase_if(Predicate&& predicate) {
    return erase_from(std::remove_if(begin(), end(), predicate));
  }
  [[nodiscard]] Arena& arena() const noexcept { return *arena_; }

 private:
  static_assert(static_cast<unsigned>(Name::x_real_ip) < 64);
  static constexpr std::uint64_t bit(Name id) noexcept { return std::uint64_t{1} << static_cast<unsigned>(id); }
  // Of a name the gateway does not know: by its length and two letters of its end, where names in families differ.
  static constexpr std::uint64_t mark(std::string_view name) noexcept {
    if (name.empty()) return 0;
    const auto letter = [name](std::size_t i) { return std::size_t{static_cast<unsigned char>(name[i])} | 0x20U; };
    return std::uint64_t{1} << ((name.size() * 11 + letter(name.size() * 3 / 4) * 5 + letter(name.size() - 1)) % 64);
  }
  void note(Name id, std::string_view name) noexcept {
    if (id == Name::other) {
      others_ |= mark(name);
    } else {
      present_ |= bit(id);
    }
  }
  [[nodiscard]] bool may_have(Name id) const noexcept { return (present_ & bit(id)) != 0; }
  [[nodiscard]] bool may_have(Name id, std::string_view name) const noexcept { return id == Name::other ? (others_ & mark(name)) != 0 : may_have(id); }
  void replace(const Header& header);
  void make_room(std::size_t least);
  std::size_t erase_from(const Header* first) noexcept {
    const std::size_t before = std::exchange(size_, static_cast<std::size_t>(first - list_));
    return before - size_;
  }
  void set_all(std::span<const Header> headers, std::uint64_t present, std::uint64_t others);

  Arena* arena_;
  // In the arena, where a std::vector would be one more allocator and a call for each header.
  Header* list_ = nullptr;
  std::size_t size_ = 0;
  std::size_t room_ = 0;
  // Names that were ever added: most look-ups are for what is not there.
  std::uint64_t present_ = 0;
  std::uint64_t others_ = 0;
};

}  // namespace gateway::http
