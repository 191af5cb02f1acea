// Nanoseconds of CLOCK_MONOTONIC from the processor's time-stamp counter. The scale is measured
// against CLOCK_MONOTONIC and kept up to date; DPDK's own figure is rounded to 10 MHz and may be
// 1500 ppm off. Reading is for the one place that may read time: the worker's poll.
#pragma once

#include <x86intrin.h>

#include <atomic>
#include <cstdint>

#include "base/int128.hpp"

namespace faultline {

/// CLOCK_MONOTONIC, in ns. For the management plane; the data path reads TscClock.
std::uint64_t monotonic_ns() noexcept;

/// now_ns = base_ns + (tsc − base_tsc) · scale / 2^32.
struct TscScale {
  std::uint64_t base_tsc = 0;
  std::uint64_t base_ns = 0;
  std::uint64_t scale = 0;  ///< ns per tick, times 2^32

  std::uint64_t to_ns(std::uint64_t tsc) const noexcept {
    // A tick before the base (another core read earlier) is the base: time never runs backwards.
    const std::uint64_t ticks = tsc > base_tsc ? tsc - base_tsc : 0;
    return base_ns + static_cast<std::uint64_t>((static_cast<Uint128>(ticks) * scale) >> 32);
  }
  double ticks_per_second() const noexcept {
    return scale == 0 ? 0.0 : 4294967296.0 * 1e9 / static_cast<double>(scale);
  }
};

/// A reading of both clocks at (nearly) one instant; `spread_ticks` bounds how nearly.
struct ClockPair {
  std::uint64_t tsc = 0;
  std::uint64_t ns = 0;
  std::uint64_t spread_ticks = 0;
};

/// The tightest of several readings.
ClockPair read_clock_pair() noexcept;

/// The scale that continues `current` without a jump at `now` and meets CLOCK_MONOTONIC again after
/// `horizon_ns`, with the rate measured between `first` and `now`. The correction is at most
/// 500 ppm, so time stays monotonic and intervals stay honest.
TscScale steer(const TscScale& current, const ClockPair& first, const ClockPair& now,
               std::uint64_t horizon_ns) noexcept;

/// The clock of a data path. One thread calls calibrate() and refine(); any thread reads.
class TscClock {
 public:
  /// Measures for `duration_ns` (100 ms gives better than 1 ppm). Blocks.
  void calibrate(std::uint64_t duration_ns);
  /// Takes one more reading and steers towards it. Call about once a second.
  void refine() noexcept;

  std::uint64_t now_ns() const noexcept {
    return scales_[current_.load(std::memory_order_acquire)].to_ns(__rdtsc());
  }
  double ticks_per_second() const noexcept {
    return scales_[current_.load(std::memory_order_acquire)].ticks_per_second();
  }
  /// How far the last refine() found this clock's rate from CLOCK_MONOTONIC's, in ppm.
  double error_ppm() const noexcept { return error_ppm_.load(std::memory_order_relaxed); }

 private:
  // A reader uses the scale that `current_` names; the next one is written to another slot. Eight
  // slots, one written a second: a reader would have to sleep for seven seconds between two
  // instructions to see one change under it.
  static constexpr std::uint32_t kSlots = 8;
  TscScale scales_[kSlots];
  std::atomic<std::uint32_t> current_{0};
  std::atomic<double> error_ppm_{0.0};
  ClockPair first_;
};

}  // namespace faultline
