// The data path's clock: steering in numbers that need no clock, and one short look at the real
// one.
#include "base/tsc_clock.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <ctime>

namespace faultline {
namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;
constexpr std::uint64_t kHorizonNs = 4 * kSecondNs;
constexpr std::uint64_t kTicksPerSecond = 2'600'000'000;

/// ns per tick, times 2^32, of a clock `ppm` parts per million too fast.
std::uint64_t scale_of(double ppm) {
  return static_cast<std::uint64_t>(4294967296.0 * 1e9 / kTicksPerSecond * (1.0 + ppm * 1e-6));
}

TEST(BaseClock, ScaleIsExactAndNeverRunsBackwards) {
  const TscScale half{1'000, 77, std::uint64_t{1} << 31};
  EXPECT_EQ(half.to_ns(1'000), 77U);
  EXPECT_EQ(half.to_ns(1'001), 77U);
  EXPECT_EQ(half.to_ns(1'002), 78U);
  EXPECT_EQ(half.to_ns(0), 77U) << "a tick before the base is the base";
  // A year of ticks: the product needs more than 64 bits.
  const std::uint64_t year_ticks = kTicksPerSecond * 86'400 * 366;
  const std::uint64_t year_ns = TscScale{0, 0, scale_of(0)}.to_ns(year_ticks);
  EXPECT_NEAR(static_cast<double>(year_ns), 86'400.0 * 366 * 1e9, 86'400.0 * 366);
  EXPECT_DOUBLE_EQ(half.ticks_per_second(), 2e9);
  EXPECT_EQ(TscScale{}.ticks_per_second(), 0.0);
}

struct SteerCase {
  double used_ppm;         ///< how wrong the scale in use is
  std::int64_t behind_ns;  ///< how far the clock is behind CLOCK_MONOTONIC now
  double correction_ppm;   ///< expected on top of the measured rate
};

const SteerCase kSteerCases[] = {
    {0, 0, 0},
    {0, 1'000, 0.25},
    {0, -1'000, -0.25},
    {40, 400'000, 100},
    {-40, -400'000, -100},
    {0, 2'000'000, 500},  // exactly at the bound
    {0, -2'000'000, -500},
    {0, 50'000'000, 500},  // beyond it
    {0, -50'000'000, -500},
    {1'500, 3'600'000'000'000, 500},
};

/// The state of a clock that has run for one second under the case's scale.
struct Steered {
  TscScale before;
  ClockPair first{1'000'000, 5 * kSecondNs, 0};
  ClockPair now;
  TscScale after;

  explicit Steered(const SteerCase& one) {
    before = {first.tsc, first.ns, scale_of(one.used_ppm)};
    now.tsc = first.tsc + kTicksPerSecond;
    const std::uint64_t shown_ns = before.to_ns(now.tsc);
    now.ns = shown_ns + static_cast<std::uint64_t>(one.behind_ns);
    // The measured rate is the true one: that of the nominal ticks.
    first.ns = now.ns - kSecondNs;
    after = steer(before, first, now, kHorizonNs);
  }
};

TEST(BaseClock, SteeringIsContinuousAndMonotonic) {
  for (const SteerCase& one : kSteerCases) {
    const Steered clock(one);
    EXPECT_EQ(clock.after.to_ns(clock.now.tsc), clock.before.to_ns(clock.now.tsc)) << one.behind_ns;
    EXPECT_GE(clock.after.to_ns(clock.now.tsc - 1'000), clock.before.to_ns(clock.now.tsc - 1'000));
    std::uint64_t last_ns = clock.before.to_ns(clock.now.tsc - 1);
    for (std::uint64_t tick = 0; tick < 1'000; ++tick) {
      const std::uint64_t ns = clock.after.to_ns(clock.now.tsc + tick * 3);
      EXPECT_GE(ns, last_ns);
      last_ns = ns;
    }
    EXPECT_GT(last_ns, clock.after.base_ns + 1'000) << "3000 ticks are 1153 ns";
  }
}

TEST(BaseClock, SteeringIsBounded) {
  for (const SteerCase& one : kSteerCases) {
    const Steered clock(one);
    const double ppm =
        (static_cast<double>(clock.after.scale) / static_cast<double>(scale_of(0)) - 1.0) * 1e6;
    EXPECT_NEAR(ppm, one.correction_ppm, 0.01) << one.behind_ns;
  }
}

TEST(BaseClock, SteeringMeetsTheMonotonicClockAfterTheHorizon) {
  for (const SteerCase& one : kSteerCases) {
    if (std::abs(one.behind_ns) > 2'000'000)
      continue;  // more than 500 ppm of the horizon: several steps are needed
    const Steered clock(one);
    const std::uint64_t shown_ns =
        clock.after.to_ns(clock.now.tsc + kTicksPerSecond * (kHorizonNs / kSecondNs));
    EXPECT_NEAR(static_cast<double>(shown_ns - clock.now.ns), static_cast<double>(kHorizonNs), 4.0)
        << one.behind_ns;
  }
}

TEST(BaseClock, RepeatedSteeringConverges) {
  // 50 ms behind: 500 ppm catch up 0.5 ms a second, so it takes 100 s and then some.
  TscScale scale{0, 0, scale_of(80)};
  const ClockPair first{0, 50'000'000, 0};
  double worst_ns = 0;
  for (std::uint64_t second = 1; second <= 150; ++second) {
    const ClockPair now{second * kTicksPerSecond, 50'000'000 + second * kSecondNs, 0};
    const double error_ns = static_cast<double>(now.ns) - static_cast<double>(scale.to_ns(now.tsc));
    if (second > 130)
      worst_ns = std::max(worst_ns, std::abs(error_ns));
    scale = steer(scale, first, now, kHorizonNs);
  }
  EXPECT_LT(worst_ns, 1'000.0);
}

TEST(BaseClock, LiveCalibration) {
  TscClock clock;
  clock.calibrate(200'000'000);
  EXPECT_GT(clock.ticks_per_second(), 1e8);
  const std::uint64_t before_ns = monotonic_ns();
  const std::uint64_t shown_ns = clock.now_ns();
  const std::uint64_t after_ns = monotonic_ns();
  // 50 ppm of the 200 ms measured, plus the two readings.
  EXPECT_GE(shown_ns + 10'000, before_ns);
  EXPECT_LE(shown_ns, after_ns + 10'000);
  // The rate against one measured apart, after calibration: within 100 ppm.
  const ClockPair begin = read_clock_pair();
  const timespec pause{0, 100'000'000};
  nanosleep(&pause, nullptr);
  const ClockPair end = read_clock_pair();
  const double ticks_per_second =
      static_cast<double>(end.tsc - begin.tsc) * 1e9 / static_cast<double>(end.ns - begin.ns);
  EXPECT_NEAR(clock.ticks_per_second() / ticks_per_second, 1.0, 100e-6);
  clock.refine();
  EXPECT_LT(std::abs(clock.error_ppm()), 50.0);
  std::uint64_t last_ns = clock.now_ns();
  for (int reading = 0; reading < 10'000; ++reading) {
    const std::uint64_t ns = clock.now_ns();
    ASSERT_GE(ns, last_ns);
    last_ns = ns;
  }
  EXPECT_GT(last_ns, shown_ns);
}

}  // namespace
}  // namespace faultline
