#include "admin/legacy_api.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "schema/record.h"

namespace gateway::admin {
namespace {

constexpr const char* known_fields[] = {"id",         "created_at", "name",      "request_host", "request_path",       "strip_request_path",       "preserve_host",
                                        "upstream_url", "hosts",    "uris",      "methods",      "strip_uri",          "https_only",               "http_if_terminated",
                                        "retries",    "upstream_connect_timeout", "upstream_send_timeout", "upstream_read_timeout"};

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
void coerce_lists(Json& given) {
  for (const char* name : {"hosts", "uris", "methods"}) {
    const auto found = given.find(name);
    if (found != given.end() && found->is_string()) *found = split(found->get<std::string>());
  }
  for (auto& [name, value] : given.items()) {
    if (!value.is_string()) continue;
    const std::string text = trimmed(value.get<std::string>());
    value = text;
    if (text.empty()) value = nullptr;
    if (name == "name" || name == "upstream_url" || name.starts_with("request_")) continue;
    std::string low = text;
    std::transform(low.begin(), low.end(), low.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    if (low == "true") value = true;
    if (low == "false") value = false;
    std::int64_t number = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
    if (parsed.ec == std::errc() && parsed.ptr == text.data() + text.size()) value = number;
  }
}

bool has(const Json& given, const char* name) {
  const auto found = given.find(name);
  return found != given.end() && !found->is_null();
}

// "/a/" is "/a" to that generation.
Json without_trailing_slash(Json path) {
  if (!path.is_string()) return path;
  std::string text = path.get<std::string>();
  if (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

std::string derived_name(const Json& given) {
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
  return text;
}

bool is_legacy_name(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == '~' || c == '-';
  });
}

void check_types(const Json& given, Json& errors) {
  for (const char* name : {"strip_request_path", "strip_uri", "preserve_host", "https_only", "http_if_terminated"}) {
    if (has(given, name) && !given[name].is_boolean()) errors[name] = std::string(name) + " is not a boolean";
  }
  for (const char* name : {"hosts", "uris", "methods"}) {
    if (has(given, name) && !given[name].is_array()) errors[name] = std::string(name) + " is not an array";
  }
  for (const char* name : {"request_host", "request_path", "name"}) {
    if (has(given, name) && !given[name].is_string()) errors[name] = std::string(name) + " is not a string";
  }
  const auto integer = [&](const char* name, std::int64_t low, std::int64_t high) {
    if (!has(given, name)) return;
    const bool good = given[name].is_number_integer() && given[name].get<std::int64_t>() >= low && given[name].get<std::int64_t>() <= high;
    if (!good) errors[name] = "must be an integer between " + std::to_string(low) + " and " + std::to_string(high);
  };
  integer("retries", 0, 32767);
  for (const char* name : {"upstream_connect_timeout", "upstream_send_timeout", "upstream_read_timeout"}) integer(name, 1, 2147483647);
}

void check_url(const Json& given, Json& errors) {
  if (!has(given, "upstream_url")) {
    errors["upstream_url"] = "upstream_url is required";
    return;
  }
  const std::string text = given["upstream_url"].is_string() ? given["upstream_url"].get<std::string>() : std::string();
  const std::size_t colon = text.find("://");
  if (colon == std::string::npos || colon + 3 >= text.size()) {
    errors["upstream_url"] = "upstream_url is not a url";
  } else if (text.substr(0, colon) != "http" && text.substr(0, colon) != "https") {
    errors["upstream_url"] = "Supported protocols are HTTP and HTTPS";
  }
}

// The old spelling of what exists, with what is given over it. Giving one spelling drops the other.
Json overlay(const LegacyApi& existing, Json given) {
  if (existing.service.is_null()) return given;
  Json whole = show_legacy_api(existing);
  for (const char* derived : {"request_host", "request_path", "strip_request_path", "created_at"}) whole.erase(derived);
  if (given.contains("request_host")) whole.erase("hosts");
  if (given.contains("request_path")) whole.erase("uris");
  if (given.contains("strip_request_path")) whole.erase("strip_uri");
  whole.update(given);
  return whole;
}

void copy(const Json& from, const char* name, Json& to, const char* as) {
  if (has(from, name)) to[as] = from[name];
}

}  // namespace

bool is_legacy_field(const std::string& name) { return std::find(std::begin(known_fields), std::end(known_fields), name) != std::end(known_fields); }

Json read_legacy_api(Json given, const LegacyApi& existing, LegacyApi& out) {
  if (!given.is_object()) return {{"message", "Cannot parse JSON body"}};
  Json errors = Json::object();
  for (const auto& [name, value] : given.items()) {
    if (!is_legacy_field(name)) errors[name] = name + " is an unknown field";
  }
  coerce_lists(given);
  const bool old_spelling = given.contains("request_host") || given.contains("request_path");
  const Json api = overlay(existing, std::move(given));
  check_types(api, errors);
  check_url(api, errors);
  const std::string name = has(api, "name") && api["name"].is_string() ? api["name"].get<std::string>() : derived_name(api);
  if (name.empty()) {
    errors["name"] = "name is required";
  } else if (!is_legacy_name(name)) {
    errors["name"] = "name must only contain alphanumeric and '., -, _, ~' characters";
  }
  const bool matches = has(api, "request_host") || has(api, "request_path") || has(api, "hosts") || has(api, "uris") || has(api, "methods");
  if (!matches && errors.empty()) {
    errors["message"] = "at least one of 'hosts', 'uris' or 'methods' must be specified";
  }
  if (!errors.empty()) return errors;

  Json service = {{"name", name}, {"url", api["upstream_url"]}};
  Json route = {{"name", name}};
  copy(api, "retries", service, "retries");
  copy(api, "upstream_connect_timeout", service, "connect_timeout");
  copy(api, "upstream_send_timeout", service, "write_timeout");
  copy(api, "upstream_read_timeout", service, "read_timeout");
  copy(api, "hosts", route, "hosts");
  copy(api, "methods", route, "methods");
  if (has(api, "request_host")) route["hosts"] = Json::array({api["request_host"]});
  if (has(api, "request_path")) route["paths"] = Json::array({without_trailing_slash(api["request_path"])});
  if (has(api, "uris")) {
    route["paths"] = Json::array();
    for (const Json& each : api["uris"]) route["paths"].push_back(without_trailing_slash(each));
  }
  // Each generation's own default: 0.9 kept the path, 0.10 took it off.
  route["strip_path"] = has(api, "strip_uri") ? api["strip_uri"] : has(api, "strip_request_path") ? api["strip_request_path"] : Json(!old_spelling);
  copy(api, "preserve_host", route, "preserve_host");
  if (api.value("https_only", false)) route["protocols"] = {"https"};
  if (has(api, "id")) service["id"] = route["id"] = api["id"];
  out = {std::move(service), std::move(route)};
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
  out["https_only"] = route.contains("protocols") && route["protocols"] == Json{"https"};
  return out;
}

Json legacy_complaints(const Json& complaints) {
  static const std::map<std::string, std::string> names = {{"paths", "uris"},      {"host", "upstream_url"}, {"port", "upstream_url"},
                                                           {"path", "upstream_url"}, {"protocol", "upstream_url"}};
  Json out = Json::object();
  for (const auto& [name, complaint] : complaints.items()) {
    if (name == "@entity") {
      out["message"] = complaint[0];
      continue;
    }
    Json text = complaint;
    while (text.is_structured() && !text.empty()) {
      // The first element that is wrong stands for the list.
      const auto first = std::find_if(text.begin(), text.end(), [](const Json& each) { return !each.is_null(); });
      text = Json(*first);
    }
    const auto old = names.find(name);
    out[old == names.end() ? name : old->second] = text;
  }
  return out;
}

}  // namespace gateway::admin
