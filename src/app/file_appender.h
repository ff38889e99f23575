#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/blocking_pool.h"
#include "plugin/services.h"
#include "telemetry/log_file.h"

namespace gateway::app {

/// Adds plugins' lines to their files on the blocking pool, in order, one job per file at a time.
class FileAppender final : public plugin::FileAppender {
 public:
  explicit FileAppender(BlockingPool& pool) : pool_(pool) {}

  void append(const std::string& path, std::string line, bool reopen) override;

 private:
  struct Target {
    std::string pending;
    bool reopen = false;
    bool writing = false;
    std::unique_ptr<telemetry::LogFile> file;  // touched by the one job that is writing
  };
  void write_out(const std::string& path, Target& target);

  BlockingPool& pool_;
  std::mutex mutex_;
  std::map<std::string, Target> targets_;
};

}  // namespace gateway::app
