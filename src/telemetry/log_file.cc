#include "telemetry/log_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace gateway::telemetry {
namespace {

// The standard streams are duplicated, not opened by name: that fails where they are sockets, as under systemd.
int standard_stream(const std::string& path) noexcept {
  if (path == "/dev/stdout") return STDOUT_FILENO;
  if (path == "/dev/stderr") return STDERR_FILENO;
  return -1;
}

int open_for_append(const std::string& path) noexcept { return ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644); }

Error failed(const std::string& path, int error) {
  return {boost::system::error_code(error, boost::system::system_category()), Origin::gateway, "opening the log " + path};
}

}  // namespace

Result<std::unique_ptr<LogFile>> LogFile::open(const std::string& path) {
  int descriptor = -1;
  if (!path.empty() && path != "off") {
    const int standard = standard_stream(path);
    descriptor = standard >= 0 ? fcntl(standard, F_DUPFD_CLOEXEC, 3) : open_for_append(path);
    if (descriptor < 0) return failed(path, errno);
  }
  return std::unique_ptr<LogFile>(new LogFile(path, descriptor));
}

LogFile::~LogFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void LogFile::write(std::string_view lines) noexcept {
  if (descriptor_ < 0) return;
  // There is room again perhaps: what comes now must not go on where a line broke off.
  if (torn_.load(std::memory_order_relaxed) && ::write(descriptor_, "\n", 1) == 1) torn_ = false;
  const std::size_t all = lines.size();
  while (!lines.empty()) {
    const ssize_t written = ::write(descriptor_, lines.data(), lines.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      if (lines.size() != all && lines.data()[-1] != '\n') torn_ = true;
      return;
    }
    lines.remove_prefix(static_cast<std::size_t>(written));
  }
}

Status LogFile::reopen() {
  if (descriptor_ < 0 || standard_stream(path_) >= 0) return {};
  const int fresh = open_for_append(path_);
  if (fresh < 0) return failed(path_, errno);
  const int replaced = dup3(fresh, descriptor_, O_CLOEXEC);
  const int error = errno;
  ::close(fresh);
  if (replaced < 0) return failed(path_, error);
  return {};
}

LogBuffer::LogBuffer(LogFile& file) : file_(file) {
  if (!enabled()) return;
  capacity_ = flush_at;
  bytes_ = std::make_unique_for_overwrite<char[]>(capacity_);
}

void LogBuffer::append(std::string_view line) {
  if (!enabled()) return;
  char* out = reserve(line.size() + 1);
  std::memcpy(out, line.data(), line.size());
  out[line.size()] = '\n';
  commit(out + line.size() + 1);
}

char* LogBuffer::reserve(std::size_t most) {
  if (capacity_ - used_ < most) {
    flush();
    if (capacity_ < most) {
      bytes_ = std::make_unique_for_overwrite<char[]>(most);
      capacity_ = most;
    }
  }
  return bytes_.get() + used_;
}

void LogBuffer::commit(const char* end) noexcept {
  used_ = static_cast<std::size_t>(end - bytes_.get());
  if (used_ >= flush_at) flush();
}

void LogBuffer::flush() noexcept {
  if (used_ == 0) return;
  file_.write({bytes_.get(), used_});
  used_ = 0;
}

}  // namespace gateway::telemetry
