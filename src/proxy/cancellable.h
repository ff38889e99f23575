#pragma once

namespace gateway::proxy {

/// Something that goes on for a client, and is given up when the client leaves.
class Cancellable {
 public:
  /// Ends all waits; what was waited for is of no more use.
  virtual void cancel() noexcept = 0;

 protected:
  ~Cancellable() = default;
};

}  // namespace gateway::proxy
