#include "plugin/request_json.h"

#include "base/json.h"

#include "base/ascii.h"
#include "plugin/arguments.h"

namespace gateway::plugin {
namespace {

using nlohmann::json;

constexpr int max_depth = 1000;

// A second value makes a list.
void add(json& object, std::string name, json value) {
  json& slot = object[std::move(name)];
  if (slot.is_null()) {
    slot = std::move(value);
  } else if (slot.is_array()) {
    slot.push_back(std::move(value));
  } else {
    slot = json::array({std::move(slot), std::move(value)});
  }
}

bool is_media(std::string_view content_type, std::string_view media) {
  return content_type.size() >= media.size() && http::equals_ignoring_case(content_type.substr(0, media.size()), media);
}

}  // namespace

json headers_json(const http::Headers& headers, Secrets secrets) {
  json out = json::object();
  for (const http::Header& header : headers) {
    const bool secret = header.id == http::Name::authorization || header.id == http::Name::proxy_authorization;
    add(out, lower_case(header.name), secret && secrets == Secrets::hidden ? json("REDACTED") : json(std::string(header.value)));
  }
  return out;
}

json arguments_json(std::string_view arguments, http::Arena& arena) {
  json out = json::object();
  while (const std::optional<Argument> argument = next_argument(arguments)) {
    add(out, std::string(decoded(argument->name, arena)), argument->has_value ? json(std::string(decoded(argument->value, arena))) : json(true));
  }
  return out;
}

std::optional<json> body_json(std::string_view content_type, std::string_view body, http::Arena& arena) {
  if (is_media(content_type, "application/x-www-form-urlencoded")) return arguments_json(body, arena);
  if (!is_media(content_type, "application/json")) return std::nullopt;
  return parse_body(body);
}

std::optional<json> parse_body(std::string_view body) {
  json document = parse_json(body, max_depth);
  if (document.is_discarded()) return std::nullopt;
  return document;
}

std::string host_of(std::string_view authority) {
  // The colons of an IPv6 address are inside brackets.
  const std::size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos) authority = authority.substr(0, colon);
  return lower_case(authority);
}

}  // namespace gateway::plugin
