#include "admin/legacy_api.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "admin/legacy_rules.h"
#include "admin/legacy_words.h"
#include "base/ascii.h"
#include "http/path.h"
#include "schema/record.h"

namespace gateway::admin {
namespace {

constexpr const char* known_fields[] = {"id",
                                        "created_at",
                                        "name",
                                        "request_host",
                                        "request_path",
                                        "strip_request_path",
                                        "preserve_host",
                                        "upstream_url",
                                        "hosts",
                                        "uris",
                                        "methods",
                                        "strip_uri",
                                        "https_only",
                                        "http_if_terminated",
                                        "retries",
                                        "upstream_connect_timeout",
                                        "upstream_send_timeout",
                                        "upstream_read_timeout"};

// `http_if_terminated` has no field in today's rows. The default needs none; a route that had it off keeps a tag, which
// travels with the row wherever it is copied to.
constexpr const char* not_if_terminated = "http_if_terminated:false";

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::size_t at = 0;
  while (at <= text.size()) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    parts.push_back(trimmed(text.substr(at, comma - at)));
    at = comma + 1;
  }
  return parts;
}

// That generation converted text whatever it came in (Kong 0.10, schema validation).
Json coerced(const std::string& name, const std::string& text) {
  if (text.empty()) return nullptr;
  if (name == "hosts" || name == "uris" || name == "methods") return split(text);
  if (name == "name" || name == "upstream_url" || name.starts_with("request_")) return text;
  const std::string low = lower_case(text);
  if (low == "true" || low == "false") return low == "true";
  std::int64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec == std::errc() && parsed.ptr == text.data() + text.size()) return number;
  return text;
}

void coerce(Json& given) {
  for (auto& [name, value] : given.items()) {
    if (value.is_string()) value = coerced(name, trimmed(value.get<std::string>()));
  }
}

bool has(const Json& given, const char* name) {
  const auto found = given.find(name);
  return found != given.end() && !found->is_null();
}

bool names_any(const Json& given, std::initializer_list<const char*> names) {
  return std::any_of(names.begin(), names.end(), [&](const char* name) { return given.contains(name); });
}

// The host or path as a name; null when there is neither.
Json derived_name(const Json& given) {
  std::string text;
  if (has(given, "request_host") && given["request_host"].is_string()) {
    text = given["request_host"].get<std::string>();
  } else if (has(given, "request_path") && given["request_path"].is_string()) {
    text = given["request_path"].get<std::string>();
    if (text.starts_with('/')) text.erase(0, 1);
  }
  for (char& c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == '~' || c == '-';
    if (!plain) c = '-';
  }
  return text.empty() ? Json() : Json(text);
}

// Null gives a field its default back.
void lay(const Json& given, const char* name, Json& row, const char* field) {
  if (has(given, name)) {
    row[field] = given[name];
  } else if (given.contains(name)) {
    row.erase(field);
  }
}

// Where both spellings are given the list counts: the single value is shown as the first of it.
void lay_list(const Json& given, const char* list, const char* single, Json& row, const char* field) {
  if (has(given, list) || !given.contains(single)) return lay(given, list, row, field);
  row.erase(field);
  if (has(given, single)) row[field] = Json::array({given[single]});
}

// Today's routes hold paths in their normal form only; that generation took any, and "/a/" for "/a".
std::string as_routed(const std::string& path) {
  std::string text = http::normalised(path);
  if (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

bool is_tagged(const Json& row, const char* tag) { return has(row, "tags") && std::find(row["tags"].begin(), row["tags"].end(), tag) != row["tags"].end(); }

void lay_tag(Json& row, const char* tag, bool wanted) {
  if (wanted == is_tagged(row, tag)) return;
  Json tags = has(row, "tags") ? row["tags"] : Json::array();
  if (wanted) {
    tags.push_back(tag);
  } else {
    tags.erase(std::find(tags.begin(), tags.end(), tag));
  }
  row["tags"] = tags.empty() ? Json() : tags;
}

void lay_over_service(const Json& given, Json& service) {
  lay(given, "name", service, "name");
  lay(given, "upstream_url", service, "url");
  lay(given, "retries", service, "retries");
  lay(given, "upstream_connect_timeout", service, "connect_timeout");
  lay(given, "upstream_send_timeout", service, "write_timeout");
  lay(given, "upstream_read_timeout", service, "read_timeout");
}

void lay_over_route(const Json& given, Json& route) {
  const bool creating = route.empty();
  lay(given, "name", route, "name");
  lay(given, "methods", route, "methods");
  lay(given, "preserve_host", route, "preserve_host");
  lay_list(given, "hosts", "request_host", route, "hosts");
  lay_list(given, "uris", "request_path", route, "paths");
  if (names_any(given, {"uris", "request_path"}) && has(route, "paths")) {
    for (Json& path : route["paths"]) path = as_routed(path.get_ref<const std::string&>());
  }
  if (has(given, "strip_uri")) {
    route["strip_path"] = given["strip_uri"];
  } else if (has(given, "strip_request_path")) {
    route["strip_path"] = given["strip_request_path"];
  } else if (creating) {
    // Each generation's own default: 0.9 kept the path, 0.10 took it off.
    route["strip_path"] = !names_any(given, {"request_host", "request_path"});
  }
  if (given.contains("http_if_terminated")) lay_tag(route, not_if_terminated, given["http_if_terminated"] == false);
  if (given.contains("https_only")) {
    const Json https = Json::array({"https"});
    if (given["https_only"] == true) {
      route["protocols"] = https;
    } else if (route.value("protocols", Json()) == https) {
      route.erase("protocols");
    }
  }
}

void copy(const Json& from, const char* name, Json& to, const char* as) {
  if (has(from, name)) to[as] = from[name];
}

}  // namespace

bool is_legacy_field(const std::string& name) { return std::find(std::begin(known_fields), std::end(known_fields), name) != std::end(known_fields); }

Json read_legacy_api(Json given, LegacyApi& api) {
  if (!given.is_object()) return {{"message", "Cannot parse JSON body"}};
  const bool creating = api.service.is_null();
  if (creating) api = {Json::object(), Json::object()};
  Json errors = Json::object();
  for (const auto& [name, value] : given.items()) {
    if (!is_legacy_field(name)) errors[name] = name + " is an unknown field";
  }
  coerce(given);
  errors.update(legacy_field_complaints(given));
  if (creating && !has(given, "name")) given["name"] = derived_name(given);
  for (const char* name : {"name", "upstream_url"}) {
    if ((creating || given.contains(name)) && !has(given, name)) errors[name] = std::string(name) + " is required";
  }
  if (!errors.empty()) return errors;

  if (creating) lay(given, "id", api.service, "id");
  lay_over_service(given, api.service);
  lay_over_route(given, api.route);
  const auto empty = [&](const char* field) { return !has(api.route, field) || api.route[field].empty(); };
  const bool asked = creating || names_any(given, {"request_host", "request_path", "hosts", "uris", "methods"});
  if (asked && empty("hosts") && empty("paths") && empty("methods")) {
    return {{"message", "at least one of 'hosts', 'uris' or 'methods' must be specified"}};
  }
  return nullptr;
}

Json show_legacy_api(const LegacyApi& api) {
  const Json& service = api.service;
  const Json& route = api.route;
  const std::string protocol = service.value("protocol", "http");
  const std::int64_t port = service.value("port", 80);
  std::string host = service.value("host", "");
  if (host.find(':') != std::string::npos && !host.starts_with('[')) host = "[" + host + "]";
  std::string url = protocol + "://" + host;
  if (port != (protocol == "https" ? 443 : 80)) url += ":" + std::to_string(port);
  if (service.contains("path") && service["path"].is_string()) url += service["path"].get<std::string>();

  Json out = {{"id", service["id"]}, {"upstream_url", url}, {"created_at", service.value("created_at", std::int64_t{0}) * 1000}};
  copy(service, "name", out, "name");
  copy(service, "retries", out, "retries");
  copy(service, "connect_timeout", out, "upstream_connect_timeout");
  copy(service, "write_timeout", out, "upstream_send_timeout");
  copy(service, "read_timeout", out, "upstream_read_timeout");
  copy(route, "hosts", out, "hosts");
  copy(route, "paths", out, "uris");
  copy(route, "methods", out, "methods");
  copy(route, "preserve_host", out, "preserve_host");
  copy(route, "strip_path", out, "strip_uri");
  copy(route, "strip_path", out, "strip_request_path");
  if (out.contains("hosts") && !out["hosts"].empty()) out["request_host"] = out["hosts"][0];
  if (out.contains("uris") && !out["uris"].empty()) out["request_path"] = out["uris"][0];
  out["http_if_terminated"] = !is_tagged(route, not_if_terminated);
  out["https_only"] = route.contains("protocols") && route["protocols"] == Json{"https"};
  return out;
}

Spelling spelling_of(const Json& given) {
  const bool old = given.is_object() && names_any(given, {"request_host", "request_path"});
  return old ? Spelling::request_path : Spelling::uris;
}

Json legacy_complaints(const Json& complaints, Spelling spelling) {
  const bool old = spelling == Spelling::request_path;
  const std::map<std::string, std::string> names = {{"paths", old ? "request_path" : "uris"},
                                                    {"hosts", old ? "request_host" : "hosts"},
                                                    {"host", "upstream_url"},
                                                    {"port", "upstream_url"},
                                                    {"path", "upstream_url"},
                                                    {"protocol", "upstream_url"},
                                                    {"connect_timeout", "upstream_connect_timeout"},
                                                    {"write_timeout", "upstream_send_timeout"},
                                                    {"read_timeout", "upstream_read_timeout"}};
  const Json flat = flat_complaints(complaints);
  Json out = Json::object();
  for (const auto& [name, complaint] : flat.items()) {
    const auto known = names.find(name);
    out[known == names.end() ? name : known->second] = complaint;
  }
  return out;
}

}  // namespace gateway::admin
