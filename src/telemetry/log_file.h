#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gateway::telemetry {

/// A file that lines are added to.
///
/// Threads   all members are callable from every thread and take no lock: reopening replaces what the
///           descriptor stands for in one system call, and a write under way ends in the old file.
class LogFile {
 public:
  /// A path, "/dev/stdout", "/dev/stderr", or "off" or "": nothing is written. Errors: not to be opened.
  static Result<std::unique_ptr<LogFile>> open(const std::string& path);
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  /// One write at the file's end, so that lines of several threads and processes never mix. What cannot
  /// be written (disk full, nobody reads the pipe) is lost: logging must not stop serving.
  void write(std::string_view lines) noexcept;

  /// Opens the path anew, after log rotation moved the file. Errors: the old file stays in use.
  Status reopen();

  [[nodiscard]] bool enabled() const noexcept { return descriptor_ >= 0; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  LogFile(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}

  const std::string path_;
  const int descriptor_;
  std::atomic<bool> torn_{false};  // the last line there is lacks its end, for the disk was full
};

/// Collects the lines of one worker, to write many at once. Owner's thread only.
class LogBuffer {
 public:
  static constexpr std::size_t flush_at = std::size_t{64} * 1024;

  explicit LogBuffer(LogFile& file);
  ~LogBuffer() { flush(); }
  LogBuffer(const LogBuffer&) = delete;
  LogBuffer& operator=(const LogBuffer&) = delete;

  /// Adds `line` and a newline.
  void append(std::string_view line);

  /// Room for `most` bytes, to be filled in place and confirmed by commit(). Allocates only for a single
  /// piece beyond 64 KiB.
  char* reserve(std::size_t most);
  /// `end`: one past the last byte written to the room reserved.
  void commit(const char* end) noexcept;

  /// Hands what has gathered to the file. To be called about once a second.
  void flush() noexcept;

  [[nodiscard]] bool enabled() const noexcept { return file_.enabled(); }

 private:
  LogFile& file_;
  std::unique_ptr<char[]> bytes_;
  std::size_t capacity_ = 0;
  std::size_t used_ = 0;
};

}  // namespace gateway::telemetry
