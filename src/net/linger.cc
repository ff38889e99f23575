#include "net/linger.h"

#include <algorithm>
#include <chrono>

#include "base/clock.h"

namespace gateway::net {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds longest{10000};
constexpr milliseconds silence{2000};
// Nobody who only learns that we have ended sends as much.
constexpr std::size_t most_bytes = 64 << 20;

}  // namespace

Task<void> linger(Stream& stream) {
  stream.shutdown_send();
  const Steady::time_point end = Steady::now() + longest;
  std::size_t bytes = 0;
  while (bytes < most_bytes) {
    bytes += stream.data().size();
    stream.consume(stream.data().size());
    const auto left = std::chrono::duration_cast<milliseconds>(end - Steady::now());
    if (left.count() <= 0) break;
    stream.expires_after(std::min(silence, left));
    const Result<bool> more = co_await stream.more();
    if (!more || !*more) break;
  }
}

}  // namespace gateway::net
