#include "entity/fields.h"

#include <fmt/format.h>

#include <algorithm>

#include "net/ip.h"

namespace gateway::entity {
namespace {

bool is_alphanumeric(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// Length of the UTF-8 sequence at `at`, 0 when it is not one (RFC 3629).
std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(i < text.size() ? text[i] : 0); };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned char first = byte(at);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF && follows(at + 1)) return 2;
  if (first >= 0xE0 && first <= 0xEF && follows(at + 1) && follows(at + 2)) {
    if (first == 0xE0 && byte(at + 1) < 0xA0) return 0;
    if (first == 0xED && byte(at + 1) > 0x9F) return 0;
    return 3;
  }
  if (first >= 0xF0 && first <= 0xF4 && follows(at + 1) && follows(at + 2) && follows(at + 3)) {
    if (first == 0xF0 && byte(at + 1) < 0x90) return 0;
    if (first == 0xF4 && byte(at + 1) > 0x8F) return 0;
    return 4;
  }
  return 0;
}

std::optional<Json> name_rule(const Json& value) {
  const std::string& text = value.get_ref<const std::string&>();
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    const std::size_t length = utf8_length(text, at);
    if (length == 0) return fmt::format("invalid utf-8 character sequence detected at position {}", at + 1);
    if (length == 1 && !is_alphanumeric(c) && c != '.' && c != '-' && c != '_' && c != '~') {
      return fmt::format("invalid value '{}': the only accepted ascii characters are alphanumerics or ., -, _, and ~", text);
    }
    at += length;
  }
  return std::nullopt;
}

std::optional<Json> tag_rule(const Json& value) {
  const std::string& text = value.get_ref<const std::string&>();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text, at);
    const char c = text[at];
    if (length == 0 || (length == 1 && (c < 0x20 || c > 0x7E || c == ',' || c == '/'))) {
      return fmt::format("invalid tag '{}': expected printable ascii (except `,` and `/`) or valid utf-8 sequences", text);
    }
    at += length;
  }
  return std::nullopt;
}

bool is_host_name(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  while (true) {
    const std::size_t dot = text.find('.');
    const std::string_view label = text.substr(0, dot);
    if (label.empty() || label.back() == '-') return false;
    if (!std::all_of(label.begin(), label.end(), [](char c) { return is_alphanumeric(c) || c == '_' || c == '-'; })) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

std::optional<Json> host_rule(const Json& value) {
  const std::string& text = value.get_ref<const std::string&>();
  std::string_view address = text;
  if (address.size() > 2 && address.front() == '[' && address.back() == ']') address = address.substr(1, address.size() - 2);
  if (net::IpAddress::parse(address)) return std::nullopt;
  const std::size_t colon = text.rfind(':');
  if (colon != std::string::npos) {
    const std::string_view port = std::string_view(text).substr(colon + 1);
    const bool digits = !port.empty() && std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (digits && is_host_name(std::string_view(text).substr(0, colon))) return "must not have a port";
  }
  if (is_host_name(text)) return std::nullopt;
  return "invalid value: " + text;
}

// RFC 3986 pchar and the slash.
bool is_path_character(char c) {
  static constexpr std::string_view others = "-._~!$&'()*+,;=:@/%";
  return is_alphanumeric(c) || others.find(c) != std::string_view::npos;
}

std::optional<Json> path_rule(const Json& value) {
  const std::string& text = value.get_ref<const std::string&>();
  if (!std::all_of(text.begin(), text.end(), is_path_character)) {
    return "invalid path: '" + text + "' (characters outside of the reserved list of RFC 3986 found)";
  }
  return escape_complaint(text);
}

std::optional<Json> header_name_rule(const Json& value) {
  const std::string& text = value.get_ref<const std::string&>();
  const bool good = std::all_of(text.begin(), text.end(), [](char c) { return is_alphanumeric(c) || c == '_' || c == '-'; });
  if (good) return std::nullopt;
  return "bad header name '" + text + "', allowed characters are A-Z, a-z, 0-9, '_', and '-'";
}

std::optional<Json> sni_rule(const Json& value) {
  const std::string& text = value.get_ref<const std::string&>();
  if (net::IpAddress::parse(text)) return "must not be an IP";
  return host_rule(value);
}

std::optional<Json> wildcard_sni_rule(const Json& value) {
  std::string text = value.get<std::string>();
  const std::size_t star = text.find('*');
  if (star == std::string::npos) return sni_rule(value);
  if (text.find('*', star + 1) != std::string::npos) return "only one wildcard must be specified";
  if (star != 0 && star != text.size() - 1) return "wildcard must be leftmost or rightmost character";
  text[star] = 'a';
  if (sni_rule(Json(text))) return "invalid value: " + value.get<std::string>();
  return std::nullopt;
}

}  // namespace

const std::vector<Json> all_protocols = {"grpc", "grpcs", "http", "https", "tcp", "tls", "tls_passthrough", "udp"};
const std::vector<Json> websocket_names = {"ws", "wss"};

std::optional<std::string> escape_complaint(std::string_view path) {
  for (std::size_t at = path.find('%'); at != std::string_view::npos; at = path.find('%', at + 1)) {
    if (at + 2 < path.size() && is_hex(path[at + 1]) && is_hex(path[at + 2])) continue;
    return "invalid url-encoded value: '" + std::string(path.substr(at, 3)) + "'";
  }
  return std::nullopt;
}

Record::Named id_field() { return {"id", schema::string().uuid().automatic().describe("Names the row for good; a UUID.")}; }

Record::Named created_at_field() { return {"created_at", schema::integer().timestamp().automatic().describe("When the row was made, in seconds since 1970.")}; }

Record::Named updated_at_field() {
  return {"updated_at", schema::integer().timestamp().automatic().describe("When the row was last written, in seconds since 1970.")};
}

Record::Named tags_field() {
  return {"tags", schema::set_of(schema::string().required().rule(tag_rule)).describe("Words by which rows are grouped and filtered.")};
}

Field name_text() { return schema::string().rule(name_rule); }
Field host_text() { return schema::string().rule(host_rule); }
Field port_number() { return schema::integer().between(0, 65535); }
Field timeout_number() { return schema::integer().between(1, 2147483646); }
Field protocol_text() { return schema::string().one_of(all_protocols).unlisted(websocket_names); }
Field sni_text() { return schema::string().rule(sni_rule); }
Field wildcard_sni_text() { return schema::string().rule(wildcard_sni_rule); }
Field header_name_text() { return schema::string().rule(header_name_rule); }

Field path_text() {
  return schema::string()
      .starts_with("/")
      .match_none({{"//", [](std::string_view text) { return text.find("//") != std::string_view::npos; }, "must not have empty segments"}})
      .rule(path_rule);
}

Record::Named plugin_protocols(bool stream) {
  const std::vector<Json> http = {"grpc", "grpcs", "http", "https"};
  return {"protocols", schema::set_of(schema::string().one_of(stream ? all_protocols : http).unlisted(websocket_names))
                           .required()
                           .default_value(http)
                           .describe("The protocols of the requests it runs for.")};
}

Record::Named no_consumer() { return {"consumer", schema::foreign("consumers").equal_to(nullptr).describe("It cannot be bound to a consumer.")}; }

}  // namespace gateway::entity
