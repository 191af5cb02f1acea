// The machine's own clock, for what people and other machines name by it: when a run began. The
// data path never asks it.
#pragma once

#include <time.h>

#include <cstdint>

namespace faultline {

/// Nanoseconds since 1970.
inline std::uint64_t unix_ns() noexcept {
  constexpr std::uint64_t kNsASecond = 1'000'000'000;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * kNsASecond +
         static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace faultline
