#include "http/h1/writer.h"

#include <fmt/format.h>

#include <ctime>

namespace gateway::http::h1 {

std::string_view http_date() {
  static thread_local std::time_t made = 0;
  static thread_local char text[32];
  static thread_local std::size_t size = 0;
  const std::time_t now = std::time(nullptr);
  if (now != made) {
    static constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    std::tm utc{};
    gmtime_r(&now, &utc);
    const auto written = fmt::format_to_n(text, sizeof text, "{}, {:02} {} {} {:02}:{:02}:{:02} GMT", days[utc.tm_wday], utc.tm_mday, months[utc.tm_mon],
                                          utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
    size = written.size;
    made = now;
  }
  return {text, size};
}

}  // namespace gateway::http::h1
