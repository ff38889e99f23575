#include "http/headers.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "base/load.h"

namespace gateway::http {
namespace {

struct Known {
  Name id;
  std::string_view spelling;
};

constexpr std::array known = {
    Known{Name::accept, "Accept"},
    Known{Name::authorization, "Authorization"},
    Known{Name::connection, "Connection"},
    Known{Name::content_length, "Content-Length"},
    Known{Name::content_type, "Content-Type"},
    Known{Name::date, "Date"},
    Known{Name::expect, "Expect"},
    Known{Name::host, "Host"},
    Known{Name::keep_alive, "Keep-Alive"},
    Known{Name::proxy_authorization, "Proxy-Authorization"},
    Known{Name::proxy_connection, "Proxy-Connection"},
    Known{Name::proxy, "Proxy"},
    Known{Name::server, "Server"},
    Known{Name::te, "TE"},
    Known{Name::trailer, "Trailer"},
    Known{Name::transfer_encoding, "Transfer-Encoding"},
    Known{Name::upgrade, "Upgrade"},
    Known{Name::user_agent, "User-Agent"},
    Known{Name::via, "Via"},
    Known{Name::x_anonymous_consumer, "X-Anonymous-Consumer"},
    Known{Name::x_consumer_custom_id, "X-Consumer-Custom-ID"},
    Known{Name::x_consumer_id, "X-Consumer-ID"},
    Known{Name::x_consumer_username, "X-Consumer-Username"},
    Known{Name::x_credential_identifier, "X-Credential-Identifier"},
    Known{Name::x_forwarded_for, "X-Forwarded-For"},
    Known{Name::x_forwarded_host, "X-Forwarded-Host"},
    Known{Name::x_forwarded_path, "X-Forwarded-Path"},
    Known{Name::x_forwarded_port, "X-Forwarded-Port"},
    Known{Name::x_forwarded_prefix, "X-Forwarded-Prefix"},
    Known{Name::x_forwarded_proto, "X-Forwarded-Proto"},
    Known{Name::x_kong_proxy_latency, "X-Kong-Proxy-Latency"},
    Known{Name::x_kong_request_id, "X-Kong-Request-Id"},
    Known{Name::x_kong_response_latency, "X-Kong-Response-Latency"},
    Known{Name::x_kong_upstream_latency, "X-Kong-Upstream-Latency"},
    Known{Name::x_real_ip, "X-Real-IP"},
};

static_assert(std::is_trivially_copyable_v<Header>);

// Name::other aside, in the order of the enumeration: a name finds its spelling by its number.
static_assert([] {
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (static_cast<std::size_t>(known[i].id) != i + 1) return false;
  }
  return true;
}());

constexpr std::size_t longest = 23;

// The capital letters among eight bytes, made small.
constexpr std::uint64_t lower(std::uint64_t word) noexcept {
  constexpr std::uint64_t ones = 0x0101010101010101ULL;
  constexpr std::uint64_t tops = 0x8080808080808080ULL;
  const std::uint64_t bytes = word & ~tops;
  const std::uint64_t from_a = bytes + (0x80 - 'A') * ones;
  const std::uint64_t beyond_z = bytes + (0x7F - 'Z') * ones;
  return word | (((from_a ^ beyond_z) & ~word & tops) >> 2);
}

// Where a name would stand: of the length and four letters, such as make the places of all known names differ.
class ByName {
 public:
  constexpr ByName() {
    while (!place_all()) factor_ += 2;
  }

  [[nodiscard]] constexpr Name at(std::string_view name) const noexcept { return places_[place_of(name)]; }

 private:
  static constexpr std::size_t places = 256;

  [[nodiscard]] constexpr std::size_t place_of(std::string_view name) const noexcept {
    const auto letter = [name](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(name[i]) | 0x20U); };
    const std::size_t size = name.size();
    const std::uint32_t letters = letter(0) << 24 ^ letter(size / 2) << 16 ^ letter(size - 2) << 8 ^ letter(size - 1);
    return ((letters ^ static_cast<std::uint32_t>(size) * 0x01010101U) * factor_) >> 24;
  }

  constexpr bool place_all() {
    places_.fill(Name::other);
    for (const Known& each : known) {
      Name& place = places_[place_of(each.spelling)];
      if (place != Name::other) return false;
      place = each.id;
    }
    return true;
  }

  std::uint32_t factor_ = 0x9E3779B1U;
  std::array<Name, places> places_{};
};
constexpr ByName by_name;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

Name classify(std::string_view name) noexcept {
  if (name.size() < 2 || name.size() > longest) return Name::other;
  const Name candidate = by_name.at(name);
  return candidate != Name::other && equals_ignoring_case(spelling(candidate), name) ? candidate : Name::other;
}

std::string_view spelling(Name name) noexcept { return name == Name::other ? std::string_view{} : known[static_cast<std::size_t>(name) - 1].spelling; }

bool detail::same_letters(const char* a, const char* b, std::size_t size) noexcept {
  // Most names come in the usual spelling.
  const auto same = [](std::uint64_t one, std::uint64_t other) { return one == other || lower(one) == lower(other); };
  if (size < 8) return size == 0 || same(load_short(a, size), load_short(b, size));
  for (std::size_t i = 0; i + 8 < size; i += 8) {
    if (!same(load<std::uint64_t>(a + i), load<std::uint64_t>(b + i))) return false;
  }
  return same(load<std::uint64_t>(a + size - 8), load<std::uint64_t>(b + size - 8));
}

// All the names the gateway knows are among those that may not.
bool may_be_trailer(const Header& field) noexcept {
  static constexpr std::string_view forbidden[] = {"cookie",       "set-cookie",       "content-encoding",   "content-range",     "cache-control",
                                                   "max-forwards", "www-authenticate", "proxy-authenticate", "x-consumer-groups", "x-authenticated-groups",
                                                   "apikey"};
  if (field.id != Name::other || field.name.find('_') != std::string_view::npos) return false;
  return std::none_of(std::begin(forbidden), std::end(forbidden), [&](std::string_view name) { return equals_ignoring_case(name, field.name); });
}

bool list_contains(std::string_view list, std::string_view token) noexcept {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    if (equals_ignoring_case(trimmed(list.substr(0, comma)), token)) return true;
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
  }
  return false;
}

const Header* Headers::find(Name id) const noexcept {
  if (!may_have(id)) return nullptr;
  for (const Header& header : *this) {
    if (header.id == id) return &header;
  }
  return nullptr;
}

const Header* Headers::find(std::string_view name) const noexcept {
  const Name id = classify(name);
  if (id != Name::other) return find(id);
  if (!may_have(id, name)) return nullptr;
  for (const Header& header : *this) {
    if (equals_ignoring_case(header.name, name)) return &header;
  }
  return nullptr;
}

std::string_view Headers::value(Name id) const noexcept {
  const Header* header = find(id);
  return header == nullptr ? std::string_view{} : header->value;
}

std::string_view Headers::value(std::string_view name) const noexcept {
  const Header* header = find(name);
  return header == nullptr ? std::string_view{} : header->value;
}

std::size_t Headers::count(std::string_view name) const noexcept {
  return static_cast<std::size_t>(std::count_if(begin(), end(), [&](const Header& header) { return equals_ignoring_case(header.name, name); }));
}

void Headers::add(std::string_view name, std::string_view value) { add(Header{name, value, classify(name)}); }

// Its name may be among those here.
void Headers::replace(const Header& header) {
  const auto same = [&](const Header& each) { return each.id == header.id && (each.id != Name::other || equals_ignoring_case(each.name, header.name)); };
  Header* const first = std::find_if(begin(), end(), same);
  if (first == end()) return add(header);
  first->value = header.value;
  first->of_this_hop = false;
  first->checked = header.checked;
  erase_from(std::remove_if(first + 1, end(), same));
}

// Twice as much each time: what there was is left to the arena.
void Headers::make_room(std::size_t least) {
  const std::size_t room = std::max({least, 2 * room_, std::size_t{4}});
  auto* const larger = static_cast<Header*>(arena_->allocate(room * sizeof(Header), alignof(Header)));
  if (size_ > 0) std::memcpy(larger, list_, size_ * sizeof(Header));
  list_ = larger;
  room_ = room;
}

void Headers::set_all(std::span<const Header> headers) {
  std::uint64_t present = 0;
  std::uint64_t others = 0;
  for (const Header& header : headers) (header.id == Name::other ? others : present) |= header.id == Name::other ? mark(header.name) : bit(header.id);
  set_all(headers, present, others);
}

void Headers::set_all(const Headers& headers) { set_all({headers.begin(), headers.size()}, headers.present_, headers.others_); }

// Usually none of the names is here: then nothing has to be looked for.
void Headers::set_all(std::span<const Header> headers, std::uint64_t present, std::uint64_t others) {
  if (headers.empty()) return;
  if (((present & present_) | (others & others_)) != 0) {
    for (const Header& header : headers) set(header);
    return;
  }
  reserve(size_ + headers.size());
  std::memcpy(end(), headers.data(), headers.size_bytes());
  size_ += headers.size();
  present_ |= present;
  others_ |= others;
}

void Headers::set(std::string_view name, std::string_view value) { set({name, value, classify(name)}); }

void Headers::set(Name id, std::string_view value) { set({spelling(id), value, id}); }

void Headers::set_or_remove(Name id, std::string_view value) {
  if (value.empty()) {
    remove(id);
  } else {
    set(id, value);
  }
}

std::size_t Headers::remove(std::string_view name) {
  if (!may_have(classify(name), name)) return 0;
  return erase_if([&](const Header& header) { return equals_ignoring_case(header.name, name); });
}

std::size_t Headers::remove(Name id) {
  if (!may_have(id)) return 0;
  return erase_if([&](const Header& header) { return header.id == id; });
}

std::string_view Headers::keep(std::string_view text) const {
  if (text.empty()) return {};
  auto* copy = static_cast<char*>(arena_->allocate(text.size(), 1));
  std::memcpy(copy, text.data(), text.size());
  return {copy, text.size()};
}

}  // namespace gateway::http
