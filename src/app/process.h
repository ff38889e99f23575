#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "app/settings/settings.h"
#include "base/result.h"

namespace gateway::app {

/// The pid file of a prefix, locked as long as its node lives: a file left over from a crash is not locked.
class PidFile {
 public:
  PidFile() = default;
  PidFile(PidFile&& other) noexcept;
  PidFile& operator=(PidFile&&) = delete;
  ~PidFile();  ///< removes it

  /// Errors: another node has it.
  static Result<PidFile> take(const Settings& settings);
  /// The process that runs in this prefix; nullopt when none does.
  static std::optional<int> owner(const Settings& settings);

 private:
  PidFile(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  std::string path_;
  int descriptor_ = -1;
};

/// Runs the program's other flavour instead, when the setting or the kernel wants that one. Returns only when
/// this one is right. Errors: the setting cannot be met.
[[nodiscard]] Status choose_flavour(const Settings& settings, char** arguments);

/// Forks; the child goes on as a daemon and returns what it is to call when it serves. The parent never
/// returns: it waits for that, says so and exits, or exits with 1 when the child ends first.
[[nodiscard]] std::function<void()> become_daemon();

/// Tells a service manager that asked to be told (sd_notify): "READY=1", "STOPPING=1".
void notify_service_manager(std::string_view state);

/// Writes what the node runs with, for the commands that look for it later.
void write_environment_file(const Settings& settings);

}  // namespace gateway::app
