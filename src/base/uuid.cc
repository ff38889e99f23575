#include "base/uuid.h"

#include <sys/random.h>

#include <bit>
#include <cstdlib>
#include <cstring>

#include "base/sixteen.h"

namespace gateway {
namespace {

constexpr char hex_digits[] = "0123456789abcdef";

void fill_random(void* out, std::size_t size) {
  auto* at = static_cast<char*>(out);
  while (size > 0) {
    const ssize_t got = getrandom(at, size, 0);
    if (got <= 0) std::abort();  // no random source: nothing we hand out would be safe
    at += got;
    size -= static_cast<std::size_t>(got);
  }
}

// The two hexadecimal digits of eight bytes at once: the halves of each side by side.
Sixteen digits_of(Sixteen halves) noexcept { return Sixteen(halves + '0' + ((halves > 9) & ('a' - '0' - 10))); }

/// xoshiro256** (Blackman and Vigna, 2018): ids must differ, not be unpredictable.
class Generator {
 public:
  Generator() { fill_random(state_, sizeof state_); }

  std::uint64_t next() noexcept {
    const std::uint64_t out = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return out;
  }

 private:
  std::uint64_t state_[4];
};

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Uuid Uuid::random() {
  Uuid id;
  fill_random(id.bytes.data(), id.bytes.size());
  id.bytes[6] = static_cast<std::uint8_t>((id.bytes[6] & 0x0F) | 0x40);
  id.bytes[8] = static_cast<std::uint8_t>((id.bytes[8] & 0x3F) | 0x80);
  return id;
}

std::optional<Uuid> Uuid::parse(std::string_view text) noexcept {
  if (text.size() != 36) return std::nullopt;
  Uuid id;
  std::size_t byte = 0;
  for (std::size_t i = 0; i < 36;) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (text[i] != '-') return std::nullopt;
      ++i;
      continue;
    }
    const int high = hex_value(text[i]);
    const int low = hex_value(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    id.bytes[byte++] = static_cast<std::uint8_t>(high << 4 | low);
    i += 2;
  }
  return id;
}

std::string_view Uuid::write(char* out) const noexcept {
  char* at = out;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *at++ = '-';
    *at++ = hex_digits[bytes[i] >> 4];
    *at++ = hex_digits[bytes[i] & 0x0F];
  }
  return {out, text_size};
}

std::string Uuid::to_string() const {
  char text[text_size];
  return std::string(write(text));
}

void write_request_id(char (&out)[32]) noexcept {
  // A system call per request would cost more than the rest of the id: seed once per thread.
  static thread_local Generator generator;
  const std::uint64_t random[2] = {generator.next(), generator.next()};
  const auto bytes = load<Sixteen>(reinterpret_cast<const char*>(random));
  const Sixteen high = bytes >> 4;
  const Sixteen low = bytes & 15;
  const Sixteen first = digits_of(__builtin_shufflevector(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
  const Sixteen second = digits_of(__builtin_shufflevector(high, low, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31));
  std::memcpy(out, &first, sizeof first);
  std::memcpy(out + sizeof first, &second, sizeof second);
}

std::string random_token(std::size_t length) {
  static constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  std::string token;
  token.reserve(length);
  while (token.size() < length) {
    std::uint8_t byte;
    fill_random(&byte, 1);
    if (byte < 248) token += alphabet[byte % 62];  // 248 = 4 * 62: every character equally likely
  }
  return token;
}

}  // namespace gateway
