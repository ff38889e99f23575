#include "admin/paging.h"

#include <openssl/evp.h>

#include "base/json.h"

namespace gateway::admin {
namespace {

constexpr std::size_t max_token = 1024;

std::string encode_base64(std::string_view text) {
  std::string out(4 * ((text.size() + 2) / 3) + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

std::optional<std::string> decode_base64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  if (text.size() % 4 == 1) return std::nullopt;
  std::string padded(text);
  while (padded.size() % 4 != 0) padded += '=';
  std::string out(padded.size(), '\0');
  const int size =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(padded.data()), static_cast<int>(padded.size()));
  if (size < 0) return std::nullopt;
  out.resize(static_cast<std::size_t>(size) - (padded.size() - text.size()));
  return out;
}

}  // namespace

std::string write_offset(const Uuid& last) { return encode_base64(nlohmann::json::array({last.to_string()}).dump()); }

std::optional<Uuid> read_offset(std::string_view token, std::string& why) {
  const std::optional<std::string> text = token.size() <= max_token ? decode_base64(token) : std::nullopt;
  if (!text) {
    why = "bad base64 encoding";
    return std::nullopt;
  }
  const nlohmann::json key = parse_json(*text);
  if (!key.is_array() || key.size() != 1 || !key[0].is_string() || !Uuid::parse(key[0].get_ref<const std::string&>())) {
    why = "bad json encoding";
    return std::nullopt;
  }
  return Uuid::parse(key[0].get_ref<const std::string&>());
}

std::string percent_encoded(std::string_view text) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += digits[byte >> 4];
      out += digits[byte & 0x0F];
    }
  }
  return out;
}

}  // namespace gateway::admin
