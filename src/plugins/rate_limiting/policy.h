#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/task.h"
#include "plugin/services.h"
#include "plugins/rate_limiting/window.h"

namespace gateway::plugins::rate_limiting {

/// One period's counter, for one request.
struct Counted {
  Period period;
  double limit = 0;
  System::time_point start;  ///< of the window
  std::int64_t usage = 0;    ///< found: without this request
  [[nodiscard]] double remaining() const noexcept { return limit - static_cast<double>(usage); }
  [[nodiscard]] bool exceeded() const noexcept { return remaining() <= 0; }
};

/// Who is counted.
struct Who {
  std::string_view text;
  Digest digest;  ///< of the text, by TableHash::of_process()
};

/// Where counters live. count() fills in the usages of `who` and, when no limit is exceeded, counts the request. The
/// periods come shortest first.
class Policy {
 public:
  virtual ~Policy() = default;
  /// True when it was done at once; else count() has to be awaited.
  virtual bool count_now(const Who&, System::time_point /*now*/, std::span<Counted>) const { return false; }
  /// Errors: the counters cannot be reached. `who` and `counted` live until then.
  virtual Task<Status> count(const Who& who, std::span<Counted> counted) const = 0;
};

/// `scope`  rows of one scope share their counters: "<route's id>:<service's id>".
[[nodiscard]] std::unique_ptr<Policy> make_policy(std::string_view name, std::string scope, const plugin::Services& services);

}  // namespace gateway::plugins::rate_limiting
