#pragma once

#include <chrono>

namespace gateway {

using Steady = std::chrono::steady_clock;
using System = std::chrono::system_clock;

}  // namespace gateway
