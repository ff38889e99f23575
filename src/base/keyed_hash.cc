#include "base/keyed_hash.h"

#include <bit>
#include <cstring>

#include "base/load.h"
#include "base/uuid.h"

namespace gateway {
namespace {

static_assert(std::endian::native == std::endian::little);

struct State {
  std::uint64_t a, b, c, d;

  void mix(int rounds) noexcept {
    for (int i = 0; i < rounds; ++i) {
      a += b;
      c += d;
      b = std::rotl(b, 13) ^ a;
      d = std::rotl(d, 16) ^ c;
      a = std::rotl(a, 32);
      c += b;
      a += d;
      b = std::rotl(b, 17) ^ c;
      d = std::rotl(d, 21) ^ a;
      c = std::rotl(c, 32);
    }
  }
  void take(std::uint64_t word) noexcept {
    d ^= word;
    mix(2);
    a ^= word;
  }
  [[nodiscard]] std::uint64_t folded() const noexcept { return a ^ b ^ c ^ d; }
};

}  // namespace

KeyedHash KeyedHash::random() {
  std::uint64_t key[2];
  // Two ids, since a version 4 UUID has bits that are always the same.
  for (std::uint64_t& word : key) {
    const Uuid id = Uuid::random();
    std::uint64_t halves[2];
    std::memcpy(halves, id.bytes.data(), sizeof halves);
    word = halves[0] ^ std::rotl(halves[1], 32);
  }
  return {key[0], key[1]};
}

Digest KeyedHash::operator()(std::string_view text) const noexcept {
  State state{key_low_ ^ 0x736f6d6570736575ULL, key_high_ ^ 0x646f72616e646f6dULL ^ 0xee, key_low_ ^ 0x6c7967656e657261ULL, key_high_ ^ 0x7465646279746573ULL};
  const char* at = text.data();
  for (std::size_t left = text.size(); left >= 8; left -= 8, at += 8) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    state.take(word);
  }
  std::uint64_t last = 0;
  if (text.size() % 8 != 0) std::memcpy(&last, at, text.size() % 8);
  state.take(last | static_cast<std::uint64_t>(text.size()) << 56);
  Digest digest;
  state.c ^= 0xee;
  state.mix(4);
  digest.low = state.folded();
  state.b ^= 0xdd;
  state.mix(4);
  digest.high = state.folded();
  return digest;
}

const TableHash TableHash::of_process_{KeyedHash::random()};

// SipHash makes as many secrets of its own key as are needed.
TableHash::TableHash(const KeyedHash& random) : of_long_(KeyedHash::random()) {
  char number = 0;
  const auto next = [&] {
    ++number;
    return random({&number, 1}).low;
  };
  for (std::uint64_t& secret : secrets_) secret = next();
  for (std::uint64_t& factor : spread_) factor = next() | 1;
}

Digest TableHash::operator()(std::string_view text) const noexcept {
  const char* at = text.data();
  const std::size_t size = text.size();
  if (size > longest) return of_long_(text);
  // The size goes in too, so that texts of different sizes differ although the last words are filled up or overlap.
  auto sum = static_cast<unsigned __int128>(size + secrets_[0]) * secrets_[1];
  const std::uint64_t* secret = &secrets_[2];
  const auto add = [&](std::uint64_t one, std::uint64_t other) {
    sum += static_cast<unsigned __int128>(one + secret[0]) * (other + secret[1]);
    secret += 2;
  };
  if (size >= 16) {
    const char* const last = at + size - 16;
    for (; at < last; at += 16) add(load<std::uint64_t>(at), load<std::uint64_t>(at + 8));
    add(load<std::uint64_t>(last), load<std::uint64_t>(last + 8));
  } else if (size >= 8) {
    add(load<std::uint64_t>(at), load<std::uint64_t>(at + size - 8));
  } else if (size > 0) {
    add(load_short(at, size), 0);
  }
  return {static_cast<std::uint64_t>(sum), static_cast<std::uint64_t>(sum >> 64)};
}

}  // namespace gateway
