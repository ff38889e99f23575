#include "base/uuid.h"

#include <sys/random.h>

#include <cstdlib>
#include <cstring>
#include <random>

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

// Eight hexadecimal digits at once: each half byte in a byte of its own, to which '0' is added, or what makes 10 an 'a'.
std::uint64_t eight_digits(std::uint32_t bits) noexcept {
  constexpr std::uint64_t ones = 0x0101010101010101;
  std::uint64_t halves = bits;
  halves = (halves | halves << 16) & 0x0000FFFF0000FFFF;
  halves = (halves | halves << 8) & 0x00FF00FF00FF00FF;
  halves = (halves | halves << 4) & 0x0F0F0F0F0F0F0F0F;
  const std::uint64_t letters = (halves + 6 * ones) >> 4 & ones;
  return halves + '0' * ones + letters * ('a' - '0' - 10);
}

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
  static thread_local std::mt19937_64 engine = [] {
    std::uint64_t seed[4];
    fill_random(seed, sizeof seed);
    std::seed_seq sequence(std::begin(seed), std::end(seed));
    return std::mt19937_64(sequence);
  }();
  for (std::size_t i = 0; i < sizeof out; i += 16) {
    const std::uint64_t bits = engine();
    const std::uint64_t digits[2] = {eight_digits(static_cast<std::uint32_t>(bits)), eight_digits(static_cast<std::uint32_t>(bits >> 32))};
    std::memcpy(out + i, digits, sizeof digits);
  }
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
