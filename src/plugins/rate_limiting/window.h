#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

#include "base/clock.h"

namespace gateway::plugins::rate_limiting {

enum class Period : std::uint8_t { second, minute, hour, day, month, year };

struct PeriodFacts {
  std::string_view name;          ///< "second"
  std::string_view limit_header;  ///< "X-RateLimit-Limit-Second"
  std::string_view remaining_header;
  std::chrono::seconds length;  ///< a month counts 30 days, a year 365, as Kong has it
  std::chrono::seconds kept;    ///< how long a counter lives: longer than any such window, and than a late request
};

inline constexpr std::array<PeriodFacts, 6> periods = {{
    {"second", "X-RateLimit-Limit-Second", "X-RateLimit-Remaining-Second", std::chrono::seconds(1), std::chrono::seconds(6)},
    {"minute", "X-RateLimit-Limit-Minute", "X-RateLimit-Remaining-Minute", std::chrono::seconds(60), std::chrono::seconds(65)},
    {"hour", "X-RateLimit-Limit-Hour", "X-RateLimit-Remaining-Hour", std::chrono::seconds(3600), std::chrono::seconds(3605)},
    {"day", "X-RateLimit-Limit-Day", "X-RateLimit-Remaining-Day", std::chrono::seconds(86400), std::chrono::seconds(86405)},
    {"month", "X-RateLimit-Limit-Month", "X-RateLimit-Remaining-Month", std::chrono::seconds(2592000), std::chrono::hours(24 * 31 + 1)},
    {"year", "X-RateLimit-Limit-Year", "X-RateLimit-Remaining-Year", std::chrono::seconds(31536000), std::chrono::hours(24 * 366 + 1)},
}};

[[nodiscard]] constexpr const PeriodFacts& facts(Period period) noexcept { return periods[static_cast<std::size_t>(period)]; }

/// When the window that `now` lies in began: whole seconds of UTC.
[[nodiscard]] System::time_point window_start(Period period, System::time_point now) noexcept;

}  // namespace gateway::plugins::rate_limiting
