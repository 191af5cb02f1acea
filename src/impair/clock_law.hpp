// The clock of a node that is wrong: f(t) = t + offset + drift·(t − t0) + the steps whose time has
// come + smear, in whole ticks of a protocol's own unit; and the way back from f(t) to t by a small
// memory of stamps that were told. Integers throughout, floors where they do not divide.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "base/int128.hpp"

namespace faultline {

struct ClockLaw {
  static constexpr std::size_t kStepsMax = 64;
  /// Drifts and smears are no steeper than one in so many: the way back can be found then.
  static constexpr std::int64_t kSteepest = 10;

  struct Step {
    std::int64_t at = 0;  ///< after t0
    std::int64_t by = 0;
  };

  std::int64_t offset = 0;
  std::int64_t drift_ppt = 0;  ///< 10^-12
  std::int64_t smear_by = 0;
  std::int64_t smear_over = 1;
  std::uint32_t step_count = 0;
  std::array<Step, kStepsMax> steps{};  ///< by their time

  /// Whether f depends on t0.
  bool has_start() const noexcept { return drift_ppt != 0 || smear_by != 0 || step_count > 0; }

  /// f(t) − t at `elapsed` = t − t0.
  std::int64_t off_by(std::int64_t elapsed) const noexcept {
    std::uint32_t passed = 0;
    while (passed < step_count && elapsed >= steps[passed].at) ++passed;
    return off_after(passed, elapsed);
  }

  /// As if just the first `passed` steps had come. Modulo 2^64, as stamps are.
  std::int64_t off_after(std::uint32_t passed, std::int64_t elapsed) const noexcept {
    auto off = static_cast<std::uint64_t>(offset);
    for (std::uint32_t step = 0; step < passed; ++step)
      off += static_cast<std::uint64_t>(steps[step].by);
    if (drift_ppt != 0)
      off += static_cast<std::uint64_t>(share_of(elapsed, drift_ppt, 1'000'000'000'000));
    if (smear_by != 0)
      off += static_cast<std::uint64_t>(
          share_of(std::clamp<std::int64_t>(elapsed, 0, smear_over), smear_by, smear_over));
    return static_cast<std::int64_t>(off);
  }

  /// floor(elapsed · by / over).
  static std::int64_t share_of(std::int64_t elapsed, std::int64_t by, std::int64_t over) noexcept {
    const Int128 product = static_cast<Int128>(elapsed) * by;
    const Int128 quotient = product / over;
    return static_cast<std::int64_t>(quotient - (product % over < 0 ? 1 : 0));
  }
};

/// f of a stamp of NTP; modulo 2^64, which is an era. Never zero, which would say that there is
/// none; a zero stays zero.
inline std::uint64_t told(const ClockLaw& law, std::uint64_t start, std::uint64_t stamp) noexcept {
  if (stamp == 0)
    return 0;
  const std::uint64_t shifted =
      stamp + static_cast<std::uint64_t>(law.off_by(static_cast<std::int64_t>(stamp - start)));
  return shifted == 0 ? 1 : shifted;
}

/// Stamps that were told to one other, the last eight: what comes back may be one of them. Of each
/// some bits of what was told are kept, and some of what it was; the rest is the law's.
class ClockMemory {
 public:
  static constexpr std::uint32_t kStamps = 8;

  /// Of the time in which the law began at `began`: what was told before is forgotten.
  void begin(std::uint64_t began) noexcept {
    if (began_ == began)
      return;
    *this = {};
    began_ = began;
  }
  void note(std::uint64_t shifted, std::uint64_t stamp) noexcept {
    tags_[next_] = tag_of(shifted);
    rests_[next_] = static_cast<std::uint16_t>(stamp);
    next_ = static_cast<std::uint8_t>((next_ + 1U) % kStamps);
    used_ = static_cast<std::uint8_t>(std::min(used_ + 1U, kStamps));
  }
  /// The stamp that was told as `shifted`; nothing where none was.
  std::optional<std::uint64_t> original(const ClockLaw& law, std::uint64_t start,
                                        std::uint64_t shifted) const noexcept {
    for (std::uint32_t age = 1; age <= used_; ++age) {
      const std::uint32_t place = (next_ + kStamps - age) % kStamps;
      if (tags_[place] != tag_of(shifted))
        continue;
      if (const auto found = way_back(law, start, shifted, rests_[place]))
        return found;
    }
    return std::nullopt;
  }

 private:
  static std::uint32_t tag_of(std::uint64_t shifted) noexcept {
    return static_cast<std::uint32_t>((shifted * 0x9E3779B97F4A7C15) >> 32);
  }

  /// With so many steps passed, t = shifted − off(t) comes nearer by kSteepest each time; floors
  /// leave it a tick or two beside the place, and two ticks may have been told as one.
  static std::optional<std::uint64_t> way_back(const ClockLaw& law, std::uint64_t start,
                                               std::uint64_t shifted, std::uint16_t rest) noexcept {
    constexpr int kTurns = 22;  // 10^22 > 2^64
    constexpr std::uint64_t kBeside = 3;
    for (std::uint32_t passed = 0; passed <= law.step_count; ++passed) {
      std::uint64_t stamp = shifted;
      for (int turn = 0; turn < kTurns; ++turn) {
        const auto elapsed = static_cast<std::int64_t>(stamp - start);
        const std::uint64_t next =
            shifted - static_cast<std::uint64_t>(law.off_after(passed, elapsed));
        if (next == stamp)
          break;
        stamp = next;
      }
      for (std::uint64_t near = stamp - kBeside; near != stamp + kBeside + 1; ++near)
        if (static_cast<std::uint16_t>(near) == rest && told(law, start, near) == shifted)
          return near;
    }
    return std::nullopt;
  }

  std::uint64_t began_ = 0;
  std::array<std::uint32_t, kStamps> tags_{};
  std::array<std::uint16_t, kStamps> rests_{};
  std::uint8_t next_ = 0;
  std::uint8_t used_ = 0;
};

}  // namespace faultline
