#include "plugins/rate_limiting/window.h"

namespace gateway::plugins::rate_limiting {

System::time_point window_start(Period period, System::time_point now) noexcept {
  using namespace std::chrono;
  const auto date = [now] { return year_month_day(floor<days>(now)); };
  switch (period) {
    case Period::second: return floor<seconds>(now);
    case Period::minute: return floor<minutes>(now);
    case Period::hour: return floor<hours>(now);
    case Period::day: return floor<days>(now);
    case Period::month: return sys_days(date().year() / date().month() / 1);
    case Period::year: return sys_days(date().year() / January / 1);
  }
  return now;
}

}  // namespace gateway::plugins::rate_limiting
