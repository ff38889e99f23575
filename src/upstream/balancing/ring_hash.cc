#include "upstream/balancing/ring_hash.h"

#include <array>
#include <bit>

namespace gateway::upstream {
namespace {

constexpr std::uint32_t prime_1 = 0x9E3779B1U;
constexpr std::uint32_t prime_2 = 0x85EBCA77U;
constexpr std::uint32_t prime_3 = 0xC2B2AE3DU;
constexpr std::uint32_t prime_4 = 0x27D4EB2FU;
constexpr std::uint32_t prime_5 = 0x165667B1U;

// Little endian, whatever the machine.
std::uint32_t word_at(const char* at) noexcept {
  const auto byte = [at](int i) { return std::uint32_t{static_cast<unsigned char>(at[i])}; };
  return byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24;
}

}  // namespace

std::uint32_t ring_hash(std::string_view text) noexcept {
  const char* at = text.data();
  std::size_t left = text.size();
  std::uint32_t sum = prime_5;
  if (left >= 16) {
    std::array<std::uint32_t, 4> lanes = {prime_1 + prime_2, prime_2, 0, 0U - prime_1};
    for (; left >= 16; left -= 16) {
      for (std::uint32_t& lane : lanes) {
        lane = std::rotl(lane + word_at(at) * prime_2, 13) * prime_1;
        at += 4;
      }
    }
    sum = std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) + std::rotl(lanes[2], 12) + std::rotl(lanes[3], 18);
  }
  sum += static_cast<std::uint32_t>(text.size());
  for (; left >= 4; left -= 4, at += 4) sum = std::rotl(sum + word_at(at) * prime_3, 17) * prime_4;
  for (; left > 0; --left, ++at) sum = std::rotl(sum + static_cast<unsigned char>(*at) * prime_5, 11) * prime_1;
  sum = (sum ^ (sum >> 15)) * prime_2;
  sum = (sum ^ (sum >> 13)) * prime_3;
  return sum ^ (sum >> 16);
}

}  // namespace gateway::upstream
