// Calibration of the time-stamp counter, away from the data path.
#include "base/tsc_clock.hpp"

#include <ctime>

namespace faultline {
namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;
constexpr double kSteerMaxPpm = 500.0;
constexpr int kReadings = 16;
constexpr std::uint64_t kHorizonNs = 4 * kSecondNs;

double ns_per_tick(const ClockPair& first, const ClockPair& last) noexcept {
  return static_cast<double>(last.ns - first.ns) / static_cast<double>(last.tsc - first.tsc);
}

std::uint64_t to_scale(double ns_a_tick) noexcept {
  return static_cast<std::uint64_t>(ns_a_tick * 4294967296.0 + 0.5);
}

}  // namespace

std::uint64_t monotonic_ns() noexcept {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * kSecondNs +
         static_cast<std::uint64_t>(time.tv_nsec);
}

ClockPair read_clock_pair() noexcept {
  ClockPair best{0, 0, UINT64_MAX};
  for (int reading = 0; reading < kReadings; ++reading) {
    const std::uint64_t before = __rdtsc();
    const std::uint64_t ns = monotonic_ns();
    const std::uint64_t after = __rdtsc();
    if (after - before < best.spread_ticks)
      best = {before + (after - before) / 2, ns, after - before};
  }
  return best;
}

TscScale steer(const TscScale& current, const ClockPair& first, const ClockPair& now,
               std::uint64_t horizon_ns) noexcept {
  const double rate = ns_per_tick(first, now);
  const std::uint64_t here_ns = current.to_ns(now.tsc);
  const double behind_ns = now.ns >= here_ns ? static_cast<double>(now.ns - here_ns)
                                             : -static_cast<double>(here_ns - now.ns);
  double correction = behind_ns / static_cast<double>(horizon_ns);
  const double bound = kSteerMaxPpm * 1e-6;
  if (correction > bound)
    correction = bound;
  if (correction < -bound)
    correction = -bound;
  return {now.tsc, here_ns, to_scale(rate * (1.0 + correction))};
}

void TscClock::calibrate(std::uint64_t duration_ns) {
  first_ = read_clock_pair();
  const timespec pause{static_cast<time_t>(duration_ns / kSecondNs),
                       static_cast<long>(duration_ns % kSecondNs)};
  nanosleep(&pause, nullptr);
  const ClockPair last = read_clock_pair();
  scales_[0] = {last.tsc, last.ns, to_scale(ns_per_tick(first_, last))};
  current_.store(0, std::memory_order_release);
}

void TscClock::refine() noexcept {
  const ClockPair now = read_clock_pair();
  const std::uint32_t slot = current_.load(std::memory_order_relaxed);
  const TscScale& scale = scales_[slot];
  const double measured = ns_per_tick(first_, now);
  const double used = static_cast<double>(scale.scale) / 4294967296.0;
  error_ppm_.store((used / measured - 1.0) * 1e6, std::memory_order_relaxed);
  const std::uint32_t next = (slot + 1) % kSlots;
  scales_[next] = steer(scale, first_, now, kHorizonNs);
  current_.store(next, std::memory_order_release);
}

}  // namespace faultline
