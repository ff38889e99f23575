#include "app/settings/settings.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "app/settings/names.h"

namespace gateway::app {
namespace {

/// Reads typed values and collects what is wrong with them.
class Reader {
 public:
  explicit Reader(Values& values) : values_(values) {}

  const Value& value(const std::string& name) { return values_.by_name[name]; }
  const std::string& text(const std::string& name) { return value(name).text; }

  void wrong(const std::string& name, const std::string& why) { values_.errors.push_back(value(name).where + ": " + why); }

  std::uint64_t size(const std::string& name) {
    const std::optional<std::uint64_t> parsed = parse_size(text(name));
    if (!parsed) wrong(name, name + " is not a size: '" + text(name) + "'");
    return parsed.value_or(0);
  }

  bool flag(const std::string& name) { return text(name) == "on" || text(name) == "true"; }

  std::chrono::milliseconds duration(const std::string& name) {
    const std::optional<std::chrono::milliseconds> parsed = parse_duration(text(name));
    if (!parsed) wrong(name, name + " is not a time: '" + text(name) + "'");
    return parsed.value_or(std::chrono::milliseconds(0));
  }

  // "logs/access.log", "/dev/stdout", "off"; a format behind the path is nginx's business.
  std::string log_path(const std::string& name, const std::string& prefix) {
    const std::string path = text(name).substr(0, text(name).find(' '));
    if (path.starts_with("syslog:")) wrong(name, name + ": logs go to files only, not to syslog");
    if (path.empty() || path == "off" || path.front() == '/') return path;
    return prefix + "/" + path;
  }

  std::vector<Listen> listen(const std::string& name, ListenFor what = ListenFor::http) {
    Result<std::vector<Listen>> parsed = parse_listen(name, text(name), what);
    if (!parsed) {
      wrong(name, parsed.error().doing);
      return {};
    }
    return *parsed;
  }

 private:
  Values& values_;
};

unsigned worker_count(Reader& read) {
  const std::string& text = read.text("nginx_worker_processes");
  if (text == "auto") return std::max(1U, std::thread::hardware_concurrency());
  unsigned count = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), count);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || count < 1 || count > 128) {
    read.wrong("nginx_worker_processes", "nginx_worker_processes must be 'auto' or an integer between 1 and 128: '" + text + "'");
    return 1;
  }
  return count;
}

}  // namespace

std::string default_prefix() {
  const char* home = std::getenv("HOME");
  if (::geteuid() != 0 && home != nullptr) return std::string(home) + "/.sluice";
  return "/usr/local/sluice";
}

nlohmann::json Settings::shown() const {
  nlohmann::json out = nlohmann::json::object();
  for (const auto& [name, value] : values.by_name) {
    if (is_secret(name)) {
      if (!value.text.empty()) out[name] = "******";
    } else if (value.text == "on" || value.text == "true") {
      out[name] = true;
    } else if (value.text == "off") {
      out[name] = false;
    } else if (!value.text.empty()) {
      out[name] = value.text;
    }
  }
  out["prefix"] = prefix;
  out["log_level"] = std::string(log::name(log_level));
  out["proxy_listen"] = split_list(text("proxy_listen"));
  out["stream_listen"] = split_list(text("stream_listen"));
  out["admin_listen"] = split_list(text("admin_listen"));
  out["status_listen"] = split_list(text("status_listen"));
  out["nginx_worker_processes"] = std::to_string(workers);
  // Clients decide by these; who we really are stands under `sluice`.
  out["database"] = "postgres";
  out["portal"] = false;
  out["rbac"] = "off";
  return out;
}

std::string Settings::text(const std::string& name) const {
  const Value* value = values.find(name);
  return value == nullptr ? std::string() : value->text;
}

Settings load_settings(const Sources& sources) {
  Settings out;
  out.values = load_values(sources);
  Reader read(out.values);
  out.prefix = read.text("prefix").empty() ? default_prefix() : read.text("prefix");
  std::error_code ignored;
  out.prefix = std::filesystem::absolute(out.prefix, ignored).lexically_normal().string();
  if (out.prefix.size() > 1 && out.prefix.ends_with('/')) out.prefix.pop_back();
  log::parse_level(read.text("log_level"), out.log_level);
  out.proxy_access_log = read.log_path("proxy_access_log", out.prefix);
  out.proxy_error_log = read.log_path("proxy_error_log", out.prefix);
  out.admin_access_log = read.log_path("admin_access_log", out.prefix);
  out.status_access_log = read.log_path("status_access_log", out.prefix);
  out.stream_access_log = read.log_path("proxy_stream_access_log", out.prefix);
  out.json_access_log = read.text("access_log_format") == "json";
  out.json_error_log = read.text("error_log_format") == "json";
  out.proxy_listen = read.listen("proxy_listen");
  out.stream_listen = read.listen("stream_listen", ListenFor::streams);
  out.admin_listen = read.listen("admin_listen");
  out.status_listen = read.listen("status_listen");
  const auto speaks_tls = [](const std::vector<Listen>& all) { return std::any_of(all.begin(), all.end(), [](const Listen& each) { return each.tls; }); };
  out.tls = read_tls(out.values, out.prefix,
                     {speaks_tls(out.proxy_listen) || speaks_tls(out.stream_listen), speaks_tls(out.admin_listen), speaks_tls(out.status_listen)});
  out.workers = worker_count(read);
  out.blocking_threads = static_cast<unsigned>(std::clamp<std::uint64_t>(read.size("blocking_threads"), 1, 64));
  if (read.text("event_backend") == "io_uring") out.event_backend = EventBackend::io_uring;
  if (read.text("event_backend") == "epoll") out.event_backend = EventBackend::epoll;
  out.daemon = read.text("nginx_daemon") != "off";
  if (!read.text("node_id").empty()) {
    out.node_id = Uuid::parse(read.text("node_id"));
    if (!out.node_id) read.wrong("node_id", "node_id must be a valid UUID");
  }
  out.traditional_router = read.text("router_flavor") == "traditional";
  out.plugins = split_list(read.text("plugins"));
  out.admin_max_body_bytes = read.size("admin_max_body_size");
  out.shutdown_timeout = read.duration("shutdown_timeout");
  out.db_update_frequency = std::max(std::chrono::seconds(1), std::chrono::ceil<std::chrono::seconds>(read.duration("db_update_frequency")));
  out.db_cache_ttl = std::chrono::ceil<std::chrono::seconds>(read.duration("db_cache_ttl"));
  out.db_cache_neg_ttl = read.text("db_cache_neg_ttl").empty() ? out.db_cache_ttl : std::chrono::ceil<std::chrono::seconds>(read.duration("db_cache_neg_ttl"));
  return out;
}

}  // namespace gateway::app
