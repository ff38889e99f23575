#include "app/command_line.h"

#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <thread>

#include "app/node.h"
#include "app/process.h"
#include "version.h"

namespace gateway::app {
namespace {

constexpr std::chrono::milliseconds poll_interval{50};

struct Arguments {
  std::string file;
  std::string prefix;
  std::string positional;
  std::string ignored;
  int timeout = 10;
  int wait = 0;
  bool all = false;
};

// Warnings and errors as Kong's commands print them.
void tell(const char* level, const std::string& text) {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  std::cerr << std::put_time(&parts, "%Y/%m/%d %H:%M:%S") << " [" << level << "] " << text << '\n';
}

int fail(const std::string& why) {
  std::cerr << "Error: " << why << '\n';
  return EXIT_FAILURE;
}

Sources sources_of(const Arguments& arguments) {
  Sources sources;
  // The daemon and its reloads may stand in another folder.
  if (!arguments.file.empty()) sources.file = std::filesystem::absolute(arguments.file).string();
  if (!arguments.prefix.empty()) sources.overrides["prefix"] = std::filesystem::absolute(arguments.prefix).string();
  return sources;
}

// Settings that could be served with; what is wrong is told.
std::optional<Settings> checked_settings(const Sources& sources) {
  Settings settings = load_settings(sources);
  data_path_options(settings);
  for (const std::string& warning : settings.values.warnings) tell("warn", warning);
  if (settings.values.errors.empty()) return settings;
  fail(settings.values.errors.front());
  return std::nullopt;
}

// The node that a command is meant for: by its prefix alone, whatever else is wrong with the settings.
std::optional<int> find_node(const Arguments& arguments, Settings& settings) {
  settings = load_settings(sources_of(arguments));
  return PidFile::owner(settings);
}

bool wait_for_end(const Settings& settings, std::chrono::milliseconds longest) {
  const auto end = std::chrono::steady_clock::now() + longest;
  while (PidFile::owner(settings)) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(poll_interval);
  }
  return true;
}

int serve(const Arguments& arguments, bool foreground, char** raw) {
  const Sources sources = sources_of(arguments);
  std::optional<Settings> settings = checked_settings(sources);
  if (!settings) return EXIT_FAILURE;
  if (PidFile::owner(*settings)) return fail("Sluice is already running in " + settings->prefix);
  const Status flavour = choose_flavour(*settings, raw);
  if (!flavour) return fail(flavour.error().doing);
  std::error_code ignored;
  std::filesystem::remove(settings->prefix + "/.sluice_conf", ignored);

  std::function<void()> served;
  if (!foreground && settings->daemon) served = become_daemon();
  Result<PidFile> pid = PidFile::take(*settings);
  if (!pid) return fail(pid.error().to_string());
  write_environment_file(*settings);
  Node node(std::move(*settings), sources);
  const Status ended = node.run([served] {
    if (served) served();
    notify_service_manager("READY=1");
  });
  if (!ended) return fail(ended.error().to_string());
  return EXIT_SUCCESS;
}

int not_running(const Settings& settings) {
  std::error_code ignored;
  if (!std::filesystem::exists(settings.prefix, ignored)) return fail("no such prefix: " + settings.prefix);
  return fail("sluice not running in prefix: " + settings.prefix);
}

int stop(const Arguments& arguments) {
  Settings settings;
  const std::optional<int> pid = find_node(arguments, settings);
  if (!pid) return not_running(settings);
  ::kill(*pid, SIGTERM);
  if (!wait_for_end(settings, std::chrono::seconds(arguments.timeout))) return fail("process " + std::to_string(*pid) + " does not end");
  std::cout << "Sluice stopped\n";
  return EXIT_SUCCESS;
}

int quit(const Arguments& arguments) {
  Settings settings;
  const std::optional<int> pid = find_node(arguments, settings);
  if (!pid) return not_running(settings);
  // Before it stops listening, whoever balances above it may be told.
  if (arguments.wait > 0 && wait_for_end(settings, std::chrono::seconds(arguments.wait))) {
    return fail("Sluice stopped while waiting (unexpected)");
  }
  ::kill(*pid, SIGQUIT);
  if (wait_for_end(settings, std::chrono::seconds(std::max(arguments.timeout, 1)))) {
    std::cout << "Sluice stopped (gracefully)\n";
    return EXIT_SUCCESS;
  }
  ::kill(*pid, SIGTERM);
  wait_for_end(settings, std::chrono::seconds(10));
  std::cout << "Timeout, Sluice stopped forcefully\n";
  return EXIT_SUCCESS;
}

int reload(const Arguments& arguments) {
  Arguments where = arguments;
  Settings settings;
  if (!arguments.file.empty()) {
    // Wrong settings are told here: the running node would only log them.
    std::optional<Settings> next = checked_settings(sources_of(arguments));
    if (!next) return EXIT_FAILURE;
  }
  const std::optional<int> pid = find_node(where, settings);
  if (!pid) return not_running(settings);
  if (!arguments.file.empty()) std::ofstream(settings.prefix + "/.sluice_conf") << std::filesystem::absolute(arguments.file).string() << '\n';
  ::kill(*pid, SIGHUP);
  std::cout << "Sluice reloaded\n";
  return EXIT_SUCCESS;
}

int restart(const Arguments& arguments, char** raw) {
  Settings settings;
  if (const std::optional<int> pid = find_node(arguments, settings)) {
    ::kill(*pid, SIGTERM);
    if (!wait_for_end(settings, std::chrono::seconds(10))) return fail("process " + std::to_string(*pid) + " does not end");
  }
  return serve(arguments, false, raw);
}

int health(const Arguments& arguments) {
  Settings settings;
  if (find_node(arguments, settings)) {
    std::cout << "sluice......running\n\nSluice is healthy at " << settings.prefix << '\n';
    return EXIT_SUCCESS;
  }
  std::cout << "sluice......not running\n\n";
  return fail("Sluice is not running at " + settings.prefix);
}

int check(const Arguments& arguments) {
  Arguments with = arguments;
  if (with.file.empty()) with.file = arguments.positional;
  Settings settings = load_settings(sources_of(with));
  data_path_options(settings);
  for (const std::string& warning : settings.values.warnings) tell("warn", warning);
  for (const std::string& error : settings.values.errors) tell("error", error);
  if (!settings.values.errors.empty()) return EXIT_FAILURE;
  std::cout << "configuration" << (with.file.empty() ? "" : " at " + with.file) << " is valid\n";
  return EXIT_SUCCESS;
}

int config_init(const Arguments& arguments) {
  const std::string path = arguments.positional.empty() ? "./kong.yml" : arguments.positional;
  if (std::filesystem::exists(path)) return fail(path + " already exists.\nWill not overwrite it.");
  std::ofstream file(path);
  file << R"(# A declarative configuration: services, and the routes and plugins that belong to them.
_format_version: "3.0"

# services:
# - name: example
#   url: http://127.0.0.1:8080
#   routes:
#   - name: example
#     paths:
#     - /example
#   plugins:
#   - name: rate-limiting
#     config:
#       minute: 60
#       policy: local

# consumers:
# - username: someone
#   keyauth_credentials:
#   - key: a-key-of-theirs
)";
  return file ? EXIT_SUCCESS : fail("cannot write " + path);
}

int tell_version(const Arguments& arguments) {
  if (!arguments.all) {
    std::cout << version << '\n';
    return EXIT_SUCCESS;
  }
  std::cout << "Sluice: " << version << "\nAdmin API: 3.9.1\nevent backend: " << (net::on_io_uring ? "io_uring" : "epoll") << '\n';
  return EXIT_SUCCESS;
}

}  // namespace

namespace {

// What was wrong with the words of a command, in Kong's words, and how to use it. Usage goes to stderr and is a
// failure, also where it was asked for: scripts written for Kong's command count on both.
int tell_usage(const CLI::App& app, const CLI::ParseError& problem, int count, char** raw) {
  const CLI::App* where = &app;
  std::string command;
  for (int i = 1; i < count; ++i) {
    const std::vector<const CLI::App*> named = where->get_subcommands([&](const CLI::App* sub) { return sub->check_name(raw[i]); });
    if (!named.empty()) {
      where = named.front();
      command += (command.empty() ? "" : " ") + std::string(raw[i]);
      continue;
    }
    if (!where->get_subcommands([](const CLI::App*) { return true; }).empty() && raw[i][0] != '-') {
      std::cerr << "No such command" << (command.empty() ? "" : " for " + command) << ": " << raw[i] << "\n\n";
    } else if (const std::string what = problem.what(); dynamic_cast<const CLI::ExtrasError*>(&problem) != nullptr) {
      std::cerr << "sluice: unrecognized parameter: " << what.substr(what.rfind(' ') + 1) << "\n\n";
    } else if (dynamic_cast<const CLI::ArgumentMismatch*>(&problem) != nullptr) {
      std::cerr << what.substr(0, what.find(':')) << " was expecting a value\n\n";
    } else if (dynamic_cast<const CLI::CallForHelp*>(&problem) == nullptr) {
      std::cerr << what << "\n\n";
    }
    break;
  }
  std::cerr << where->help();
  return EXIT_FAILURE;
}

}  // namespace

int run_command_line(int count, char** raw) {
  CLI::App app("Sluice, an API gateway", "sluice");
  app.require_subcommand(1);
  Arguments arguments;
  const auto command = [&](const char* name, const char* what) {
    CLI::App* sub = app.add_subcommand(name, what);
    sub->add_option("-c,--conf", arguments.file, "configuration file");
    sub->add_option("-p,--prefix", arguments.prefix, "folder of this node's data, logs and pid file");
    // Kong's words for saying more; there is no more to say.
    for (const char* name : {"--v", "--vv"}) sub->add_flag(name)->group("");
    return sub;
  };
  CLI::App* start_command = command("start", "start in the background");
  CLI::App* run_command = command("run", "run in the foreground");
  CLI::App* stop_command = command("stop", "stop now");
  CLI::App* quit_command = command("quit", "stop after the requests in flight");
  quit_command->add_option("-t,--timeout", arguments.timeout, "seconds after which it is stopped anyway");
  quit_command->add_option("-w,--wait", arguments.wait, "seconds to go on before")->expected(0, 1);
  CLI::App* reload_command = command("reload", "take new settings without losing a connection");
  CLI::App* restart_command = command("restart", "stop and start");
  CLI::App* health_command = command("health", "tell whether it runs");
  CLI::App* check_command = command("check", "check a configuration file");
  check_command->add_option("file", arguments.positional, "the file");
  CLI::App* version_command = command("version", "tell the version");
  version_command->add_flag("-a,--all", arguments.all, "of its parts too");
  CLI::App* config_command = app.add_subcommand("config", "declarative configuration");
  config_command->require_subcommand(1);
  CLI::App* init_command = config_command->add_subcommand("init", "write an example file");
  init_command->add_option("file", arguments.positional, "default: ./kong.yml");
  // Of Kong's command: the datastore is upgraded at every start, and there is no template of nginx.
  for (CLI::App* sub : {start_command, run_command, restart_command, reload_command}) {
    sub->add_flag("--run-migrations")->group("");
    for (const char* name : {"--db-timeout", "--lock-timeout", "--nginx-conf", "--nginx-conf-flags"}) sub->add_option(name, arguments.ignored)->group("");
  }
  try {
    app.parse(count, raw);
  } catch (const CLI::ParseError& problem) {
    return tell_usage(app, problem, count, raw);
  }

  if (*start_command) return serve(arguments, false, raw);
  if (*run_command) return serve(arguments, true, raw);
  if (*stop_command) return stop(arguments);
  if (*quit_command) return quit(arguments);
  if (*reload_command) return reload(arguments);
  if (*restart_command) return restart(arguments, raw);
  if (*health_command) return health(arguments);
  if (*check_command) return check(arguments);
  if (*init_command) return config_init(arguments);
  if (*version_command) return tell_version(arguments);
  return EXIT_FAILURE;
}

}  // namespace gateway::app
