// Waiting for workers, in small steps.
#pragma once

#include <time.h>

#include <cstdint>

#include "base/tsc_clock.hpp"

namespace faultline {

/// Waits for `done` at most `timeout_ns`. Whether it came true.
template <typename Done>
bool wait_until(std::uint64_t timeout_ns, const Done& done) {
  const timespec pause{0, 50'000};
  const std::uint64_t give_up_ns = monotonic_ns() + timeout_ns;
  while (!done()) {
    if (monotonic_ns() > give_up_ns)
      return false;
    nanosleep(&pause, nullptr);
  }
  return true;
}

}  // namespace faultline
