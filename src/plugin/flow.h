#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "base/task.h"
#include "http/message.h"

namespace gateway::plugin {

/// What a phase decides: go on, or answer the client now.
class [[nodiscard]] Flow {
 public:
  static Flow next() noexcept { return Flow(nullptr); }
  static Flow reply(http::Reply reply) { return Flow(std::make_unique<http::Reply>(std::move(reply))); }
  /// A refusal rendered as the client's Accept wants it (Kong 3.9's error bodies). Without a message it has
  /// the words usual for its status.
  static Flow error(unsigned status, std::string message) {
    http::Reply reply;
    reply.status = status;
    reply.body = std::move(message);
    reply.negotiate = true;
    return Flow::reply(std::move(reply));
  }

  [[nodiscard]] bool replies() const noexcept { return reply_ != nullptr; }
  /// Only when replies().
  [[nodiscard]] http::Reply& get() noexcept { return *reply_; }
  [[nodiscard]] http::Reply take_reply() { return std::move(*reply_); }

 private:
  explicit Flow(std::unique_ptr<http::Reply> reply) noexcept : reply_(std::move(reply)) {}
  std::unique_ptr<http::Reply> reply_;
};

/// A phase's answer: known at once, or a task that will know it. A phase that need not wait returns a Flow
/// and costs no coroutine; one that must wait returns its task: `return refuse_or_load(exchange);`.
class [[nodiscard]] Step {
 public:
  Step(Flow flow) noexcept : flow_(std::move(flow)) {}        // NOLINT: a phase just returns its Flow
  Step(Task<Flow> task) noexcept : task_(std::move(task)) {}  // NOLINT: or its task

  [[nodiscard]] bool waits() const noexcept { return task_.has_value(); }
  /// What is known at once; to go on, when it waits.
  Flow take() noexcept { return std::move(flow_); }
  /// Only when waits(); await the result.
  Task<Flow> task() noexcept { return std::move(*task_); }

 private:
  Flow flow_ = Flow::next();
  std::optional<Task<Flow>> task_;
};

}  // namespace gateway::plugin
