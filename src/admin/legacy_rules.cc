#include "admin/legacy_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

namespace gateway::admin {
namespace {

// What is wrong with one value: the words for it, and the part of the value they are about.
struct Fault {
  std::string what;
  bool names_value = true;  ///< 0.9 put the value behind the words
};

bool is_alphanumeric(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool is_unreserved(char c) { return is_alphanumeric(c) || c == '.' || c == '-' || c == '_' || c == '~'; }

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

const Json* value_of(const Json& given, const char* name) {
  const auto found = given.find(name);
  return found == given.end() || found->is_null() ? nullptr : &*found;
}

bool is_host(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  while (true) {
    const std::string_view label = text.substr(0, text.find('.'));
    const bool good = std::all_of(label.begin(), label.end(), [](char c) { return is_alphanumeric(c) || c == '-' || c == '_'; });
    if (label.empty() || label.back() == '-' || !good) return false;
    if (label.size() == text.size()) return true;
    text.remove_prefix(label.size() + 1);
  }
}

std::optional<Fault> host_fault(std::string text, const char* invalid) {
  const auto stars = std::count(text.begin(), text.end(), '*');
  if (stars > 1) return Fault{"Only one wildcard is allowed"};
  if (stars == 1) {
    if (!text.starts_with("*.") && !text.ends_with(".*")) return Fault{"Invalid wildcard placement"};
    text[text.find('*')] = 'a';
  }
  if (!is_host(text)) return Fault{invalid};
  return std::nullopt;
}

std::optional<Fault> path_fault(std::string_view text) {
  if (!text.starts_with('/')) return Fault{"must be prefixed with slash"};
  if (text.find("//") != std::string_view::npos) return Fault{"invalid"};
  if (!std::all_of(text.begin(), text.end(), [](char c) { return is_unreserved(c) || c == '/' || c == '%'; })) {
    return Fault{"must only contain alphanumeric and '., -, _, ~, /, %' characters", false};
  }
  for (std::size_t at = text.find('%'); at != std::string_view::npos; at = text.find('%', at + 1)) {
    if (at + 2 < text.size() && is_hex(text[at + 1]) && is_hex(text[at + 2])) continue;
    return Fault{"must use proper encoding; '" + std::string(text.substr(at, 3)) + "' is invalid", false};
  }
  return std::nullopt;
}

std::optional<Fault> method_fault(std::string_view text) {
  if (std::all_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; })) return std::nullopt;
  return Fault{"invalid value"};
}

// 0.9: "Invalid value: a b" of a host, "invalid: '/a//b'" of a path.
void check_single(const Json& given, const char* name, Json& errors) {
  const Json* value = value_of(given, name);
  if (value == nullptr) return;
  if (!value->is_string()) {
    errors[name] = std::string(name) + " is not a string";
    return;
  }
  const std::string& text = value->get_ref<const std::string&>();
  const bool path = std::string_view(name) == "request_path";
  const std::optional<Fault> fault = path ? path_fault(text) : host_fault(text, "Invalid value");
  if (!fault) return;
  const std::string quote = path ? "'" : "";
  errors[name] = fault->names_value ? fault->what + ": " + quote + text + quote : fault->what;
}

// 0.10: the first element that is wrong stands for the list.
template <class Find>
void check_list(const Json& given, const char* name, const std::string& element, const Find& find_fault, Json& errors) {
  const Json* list = value_of(given, name);
  if (list == nullptr) return;
  if (!list->is_array()) {
    errors[name] = fmt::format("{} is not an array", name);
    return;
  }
  for (const Json& each : *list) {
    const std::string text = each.is_string() ? each.get<std::string>() : write_json(each);
    const std::optional<Fault> fault = text.empty() ? Fault{element + " is empty"} : find_fault(text);
    if (!fault) continue;
    errors[name] = element + " with value '" + text + "' is invalid: " + fault->what;
    return;
  }
}

void check_integer(const Json& given, const char* name, std::int64_t low, std::int64_t high, Json& errors) {
  const Json* value = value_of(given, name);
  if (value == nullptr) return;
  const bool good = value->is_number_integer() && value->get<std::int64_t>() >= low && value->get<std::int64_t>() <= high;
  if (!good) errors[name] = "must be an integer between " + std::to_string(low) + " and " + std::to_string(high);
}

void check_name(const Json& given, Json& errors) {
  const Json* value = value_of(given, "name");
  if (value == nullptr) return;
  if (!value->is_string()) {
    errors["name"] = "name is not a string";
    return;
  }
  const std::string& text = value->get_ref<const std::string&>();
  if (std::all_of(text.begin(), text.end(), is_unreserved)) return;
  errors["name"] = "name must only contain alphanumeric and '., -, _, ~' characters";
}

void check_url(const Json& given, Json& errors) {
  const Json* value = value_of(given, "upstream_url");
  if (value == nullptr) return;
  const std::string text = value->is_string() ? value->get<std::string>() : std::string();
  const std::size_t colon = text.find("://");
  if (colon == std::string::npos || colon + 3 >= text.size()) {
    errors["upstream_url"] = "upstream_url is not a url";
  } else if (text.substr(0, colon) != "http" && text.substr(0, colon) != "https") {
    errors["upstream_url"] = "Supported protocols are HTTP and HTTPS";
  }
}

}  // namespace

Json legacy_field_complaints(const Json& given) {
  Json errors = Json::object();
  check_name(given, errors);
  check_url(given, errors);
  check_single(given, "request_host", errors);
  check_single(given, "request_path", errors);
  check_list(
      given, "hosts", "host", [](const std::string& text) { return host_fault(text, "Invalid hostname"); }, errors);
  check_list(given, "uris", "uri", path_fault, errors);
  check_list(given, "methods", "method", method_fault, errors);
  for (const char* name : {"strip_request_path", "strip_uri", "preserve_host", "https_only", "http_if_terminated"}) {
    const Json* value = value_of(given, name);
    if (value != nullptr && !value->is_boolean()) errors[name] = std::string(name) + " is not a boolean";
  }
  check_integer(given, "retries", 0, 32767, errors);
  for (const char* name : {"upstream_connect_timeout", "upstream_send_timeout", "upstream_read_timeout"}) check_integer(given, name, 1, 2147483647, errors);
  return errors;
}

}  // namespace gateway::admin
