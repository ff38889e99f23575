#include "app/process.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "app/settings/names.h"
#include "net/loop.h"

namespace gateway::app {
namespace {

Error refused(const std::string& why) { return Error{boost::system::errc::make_error_code(boost::system::errc::not_supported), Origin::gateway, why}; }

// Containers and hardened hosts often forbid it.
bool kernel_allows_io_uring() {
  io_uring_params parameters{};
  const long ring = ::syscall(__NR_io_uring_setup, 4, &parameters);
  if (ring < 0) return false;
  ::close(static_cast<int>(ring));
  return true;
}

std::filesystem::path program_folder() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
}

}  // namespace

PidFile::PidFile(PidFile&& other) noexcept : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

PidFile::~PidFile() {
  if (descriptor_ < 0) return;
  ::unlink(path_.c_str());
  ::close(descriptor_);
}

Result<PidFile> PidFile::take(const Settings& settings) {
  const std::string path = settings.pid_file();
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) return Error{boost::system::error_code(errno, boost::system::system_category()), Origin::gateway, "opening " + path};
  PidFile file(path, descriptor);
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    file.descriptor_ = -1;
    ::close(descriptor);
    return refused("Sluice is already running in " + settings.prefix);
  }
  const std::string text = std::to_string(::getpid()) + "\n";
  if (::ftruncate(descriptor, 0) != 0 || ::write(descriptor, text.data(), text.size()) < 0) {
    return Error{boost::system::error_code(errno, boost::system::system_category()), Origin::gateway, "writing " + path};
  }
  return file;
}

std::optional<int> PidFile::owner(const Settings& settings) {
  const int descriptor = ::open(settings.pid_file().c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return std::nullopt;
  const bool free = ::flock(descriptor, LOCK_SH | LOCK_NB) == 0;
  ::close(descriptor);
  if (free) return std::nullopt;
  std::ifstream file(settings.pid_file());
  int pid = 0;
  file >> pid;
  return pid > 0 ? std::optional(pid) : std::nullopt;
}

Status choose_flavour(const Settings& settings, char** arguments) {
  const bool allowed = settings.event_backend != EventBackend::epoll && kernel_allows_io_uring();
  if (settings.event_backend == EventBackend::io_uring && !allowed) {
    return refused(settings.values.find("event_backend")->where + ": event_backend = io_uring, but the kernel does not allow it here");
  }
  if (allowed == net::on_io_uring) return {};
  const std::filesystem::path other = program_folder() / (allowed ? "sluice-io_uring" : "sluice");
  if (::access(other.c_str(), X_OK) == 0) ::execv(other.c_str(), arguments);
  if (settings.event_backend == EventBackend::automatic) return {};
  return refused("event_backend = " + settings.text("event_backend") + ": no program at " + other.string());
}

std::function<void()> become_daemon() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) std::exit(EXIT_FAILURE);
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) std::exit(EXIT_FAILURE);
  if (child > 0) {
    ::close(ends[1]);
    char byte = 0;
    const bool serves = ::read(ends[0], &byte, 1) == 1;
    if (serves) std::puts("Sluice started");
    std::fflush(nullptr);
    std::_Exit(serves ? EXIT_SUCCESS : EXIT_FAILURE);
  }
  ::close(ends[0]);
  ::setsid();
  return [to_parent = ends[1]] {
    const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(nothing, standard);
    ::close(nothing);
    if (::write(to_parent, "y", 1) != 1) return;
    ::close(to_parent);
  };
}

void notify_service_manager(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || std::strlen(path) >= sizeof(sockaddr_un::sun_path)) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return;
  // The pid for the case that it was started in the background, by a process that is gone.
  const std::string text = std::string(state) + "\nMAINPID=" + std::to_string(::getpid());
  (void)::sendto(socket, text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), size);
  ::close(socket);
}

void write_environment_file(const Settings& settings) {
  const mode_t before = ::umask(0027);
  std::ofstream file(settings.environment_file(), std::ios::trunc);
  ::umask(before);
  file << "# Written by sluice at start: what it runs with.\n";
  for (const auto& [name, value] : settings.values.by_name) {
    if (value.text.empty() || is_secret(name)) continue;
    std::string text;
    for (const char c : value.text) {
      if (c == '#') text += '\\';
      text += c;
    }
    file << name << " = " << text << '\n';
  }
}

}  // namespace gateway::app
