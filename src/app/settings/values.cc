#include "app/settings/values.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>

#include "app/settings/names.h"
#include "base/ascii.h"

extern char** environ;

namespace gateway::app {
namespace {

constexpr const char* usual_files[] = {"/etc/sluice/sluice.conf", "/etc/sluice.conf", "/etc/kong/kong.conf", "/etc/kong.conf"};

std::string trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\r") - first + 1));
}

// Everything from a '#' that no backslash precedes; "\#" is a '#'.
std::string without_comment(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == '#') {
      out += '#';
      ++i;
    } else if (text[i] == '#') {
      break;
    } else {
      out += text[i];
    }
  }
  return trimmed(out);
}

const Name* find_name(std::string_view name) {
  const auto names = all_names();
  const auto found = std::find_if(names.begin(), names.end(), [&](const Name& each) { return each.name == name; });
  return found == names.end() ? nullptr : &*found;
}

bool is_open(std::string_view name) {
  const auto prefixes = open_prefixes();
  return std::any_of(prefixes.begin(), prefixes.end(), [&](std::string_view prefix) { return name.starts_with(prefix) && name.size() > prefix.size(); });
}

void set(Values& values, std::string name, std::string text, std::string where) {
  for (char& c : name) {
    c = lower(c);
    const bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '_';
    if (!word) c = '_';
  }
  if (find_name(name) == nullptr && !is_open(name)) {
    values.warnings.push_back(where + ": unknown setting '" + name + "'");
    return;
  }
  values.by_name[name] = {std::move(text), std::move(where)};
}

void read_environment(std::string_view prefix, Values& values) {
  for (char** each = environ; *each != nullptr; ++each) {
    const std::string_view entry = *each;
    const std::size_t equals = entry.find('=');
    if (!entry.starts_with(prefix) || equals == std::string_view::npos || equals == prefix.size()) continue;
    const std::string name(entry.substr(0, equals));
    set(values, name.substr(prefix.size()), trimmed(entry.substr(equals + 1)), "environment " + name);
  }
}

// Kong's several names for one thing: the newer one, when it is given itself, stays.
void apply_aliases(Values& values) {
  static constexpr std::pair<const char*, const char*> aliases[] = {
      {"nginx_main_worker_processes", "nginx_worker_processes"},
      {"nginx_main_daemon", "nginx_daemon"},
      {"nginx_main_user", "nginx_user"},
      {"nginx_http_client_max_body_size", "client_max_body_size"},
      {"nginx_proxy_client_max_body_size", "client_max_body_size"},
      {"nginx_http_client_header_timeout", "client_header_timeout"},
      {"nginx_proxy_client_header_timeout", "client_header_timeout"},
      {"nginx_http_client_body_timeout", "client_body_timeout"},
      {"nginx_proxy_client_body_timeout", "client_body_timeout"},
      {"nginx_http_send_timeout", "client_send_timeout"},
      {"nginx_proxy_send_timeout", "client_send_timeout"},
      {"nginx_http_keepalive_timeout", "client_keepalive_timeout"},
      {"nginx_proxy_keepalive_timeout", "client_keepalive_timeout"},
      {"nginx_http_keepalive_requests", "client_keepalive_requests"},
      {"nginx_proxy_keepalive_requests", "client_keepalive_requests"},
      {"nginx_http_underscores_in_headers", "underscores_in_headers"},
      {"nginx_proxy_underscores_in_headers", "underscores_in_headers"},
      {"nginx_proxy_real_ip_header", "real_ip_header"},
      {"nginx_proxy_real_ip_recursive", "real_ip_recursive"},
      {"nginx_admin_client_max_body_size", "admin_max_body_size"},
      {"nginx_events_worker_connections", "client_max_connections"},
      {"nginx_main_worker_shutdown_timeout", "shutdown_timeout"},
      {"nginx_http_upstream_keepalive", "upstream_keepalive_pool_size"},
      {"nginx_http_ssl_protocols", "ssl_protocols"},
      {"nginx_proxy_ssl_protocols", "ssl_protocols"},
      {"nginx_http_ssl_prefer_server_ciphers", "ssl_prefer_server_ciphers"},
      {"nginx_proxy_ssl_prefer_server_ciphers", "ssl_prefer_server_ciphers"},
      {"nginx_http_ssl_dhparam", "ssl_dhparam"},
      {"nginx_proxy_ssl_dhparam", "ssl_dhparam"},
      {"nginx_http_ssl_session_tickets", "ssl_session_tickets"},
      {"nginx_proxy_ssl_session_tickets", "ssl_session_tickets"},
      {"nginx_http_ssl_session_timeout", "ssl_session_timeout"},
      {"nginx_proxy_ssl_session_timeout", "ssl_session_timeout"},
      {"nginx_location_proxy_ssl_verify", "upstream_ssl_verify"},
      {"nginx_proxy_proxy_ssl_verify", "upstream_ssl_verify"},
      {"nginx_http_proxy_ssl_verify", "upstream_ssl_verify"},
      {"nginx_location_proxy_ssl_verify_depth", "upstream_ssl_verify_depth"},
      {"nginx_proxy_proxy_ssl_verify_depth", "upstream_ssl_verify_depth"},
      {"nginx_http_proxy_ssl_verify_depth", "upstream_ssl_verify_depth"},
      {"nginx_location_proxy_ssl_trusted_certificate", "upstream_ssl_trusted_certificate"},
      {"nginx_proxy_proxy_ssl_trusted_certificate", "upstream_ssl_trusted_certificate"},
      {"nginx_http_proxy_ssl_trusted_certificate", "upstream_ssl_trusted_certificate"},
      {"nginx_location_proxy_ssl_protocols", "upstream_ssl_protocols"},
      {"nginx_proxy_proxy_ssl_protocols", "upstream_ssl_protocols"},
      {"nginx_http_proxy_ssl_protocols", "upstream_ssl_protocols"},
      {"nginx_location_proxy_ssl_ciphers", "upstream_ssl_ciphers"},
      {"nginx_proxy_proxy_ssl_ciphers", "upstream_ssl_ciphers"},
      {"nginx_http_proxy_ssl_ciphers", "upstream_ssl_ciphers"},
  };
  static constexpr std::pair<const char*, const char*> renamed[] = {
      {"privileged_worker", "dedicated_config_processing"},
      {"router_consistency", "worker_consistency"},
      {"opentelemetry_tracing", "tracing_instrumentations"},
      {"opentelemetry_tracing_sampling_rate", "tracing_sampling_rate"},
  };
  for (const auto& [old, name] : renamed) {
    const Value given = values.by_name[old];
    if (given.where == "default") continue;
    values.warnings.push_back(given.where + ": the '" + old + "' configuration property is deprecated, use '" + name + "' instead");
    if (values.by_name[name].where == "default") values.by_name[name] = given;
  }
  for (const auto& [directive, name] : aliases) {
    const auto given = values.by_name.find(directive);
    if (given != values.by_name.end() && values.by_name[name].where == "default") values.by_name[name] = given->second;
  }
}

void check_choices(Values& values) {
  for (const Name& name : all_names()) {
    if (name.choices.empty()) continue;
    const Value& value = values.by_name[std::string(name.name)];
    const std::vector<std::string> choices = split_list(name.choices);
    if (std::find(choices.begin(), choices.end(), value.text) != choices.end()) continue;
    std::string listed;
    for (const std::string& choice : choices) listed += (listed.empty() ? "" : ", ") + choice;
    values.errors.push_back(value.where + ": " + std::string(name.name) + " has an invalid value: '" + value.text + "' (" + listed + ")");
  }
}

}  // namespace

const Value* Values::find(const std::string& name) const {
  const auto found = by_name.find(name);
  return found == by_name.end() ? nullptr : &found->second;
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    if (std::string one = trimmed(text.substr(0, comma)); !one.empty()) out.push_back(std::move(one));
    text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
  }
  return out;
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc()) return std::nullopt;
  const std::string_view unit(parsed.ptr, static_cast<std::size_t>(text.data() + text.size() - parsed.ptr));
  unsigned shift = 0;
  if (unit == "k" || unit == "K") {
    shift = 10;
  } else if (unit == "m" || unit == "M") {
    shift = 20;
  } else if (unit == "g" || unit == "G") {
    shift = 30;
  } else if (!unit.empty()) {
    return std::nullopt;
  }
  if (value > (~std::uint64_t{0} >> shift)) return std::nullopt;
  return value << shift;
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  std::int64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || value < 0 || value > 1'000'000'000) return std::nullopt;
  const std::string_view unit(parsed.ptr, static_cast<std::size_t>(text.data() + text.size() - parsed.ptr));
  if (unit == "ms") return std::chrono::milliseconds(value);
  if (unit.empty() || unit == "s") return std::chrono::seconds(value);
  if (unit == "m") return std::chrono::minutes(value);
  if (unit == "h") return std::chrono::hours(value);
  if (unit == "d") return std::chrono::hours(24 * value);
  return std::nullopt;
}

void read_file(const std::string& path, Values& values) {
  std::ifstream file(path);
  if (!file) {
    values.errors.push_back("no file at: " + path);
    return;
  }
  std::string line;
  bool in_section = false;
  for (unsigned number = 1; std::getline(file, line); ++number) {
    const std::string where = path + ":" + std::to_string(number);
    while (line.ends_with('\\')) {
      line.pop_back();
      std::string more;
      if (!std::getline(file, more)) break;
      ++number;
      line += more;
    }
    const std::string text = trimmed(line);
    if (text.empty() || text.front() == '#' || text.front() == ';') continue;
    if (text.front() == '[') {
      in_section = true;
      values.warnings.push_back(where + ": what follows the section " + text + " is not read");
    }
    if (in_section) continue;
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos) {
      values.errors.push_back(where + ": expected 'name = value', got '" + text + "'");
      continue;
    }
    set(values, trimmed(text.substr(0, equals)), without_comment(text.substr(equals + 1)), where);
  }
}

Values load_values(const Sources& sources) {
  Values values;
  for (const Name& name : all_names()) values.by_name[std::string(name.name)] = {std::string(name.default_text), "default"};
  if (sources.file) {
    read_file(*sources.file, values);
  } else {
    for (const char* path : usual_files) {
      if (::access(path, R_OK) != 0) continue;
      read_file(path, values);
      break;
    }
  }
  read_environment("KONG_", values);
  read_environment("SLUICE_", values);
  for (const auto& [name, text] : sources.overrides) set(values, name, text, "command line");
  apply_aliases(values);
  check_choices(values);
  return values;
}

}  // namespace gateway::app
