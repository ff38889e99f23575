#include "app/file_appender.h"

#include "base/log.h"

namespace gateway::app {

void FileAppender::append(const std::string& path, std::string line, bool reopen) {
  const std::lock_guard lock(mutex_);
  Target& target = targets_[path];
  target.pending += line;
  target.reopen |= reopen;
  if (std::exchange(target.writing, true)) return;
  // Elements of a map stay where they are.
  pool_.post([this, path, &target] { write_out(path, target); });
}

void FileAppender::write_out(const std::string& path, Target& target) {
  for (;;) {
    std::string lines;
    bool reopen = false;
    {
      const std::lock_guard lock(mutex_);
      if (target.pending.empty()) {
        target.writing = false;
        return;
      }
      lines.swap(target.pending);
      reopen = std::exchange(target.reopen, false);
    }
    if (!target.file || reopen) {
      Result<std::unique_ptr<telemetry::LogFile>> opened = telemetry::LogFile::open(path);
      if (!opened) {
        log::error("file-log: failed to open the file: {} ({})", opened.error().code.message(), path);
        continue;
      }
      target.file = std::move(*opened);
    }
    target.file->write(lines);
  }
}

}  // namespace gateway::app
