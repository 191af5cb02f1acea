// How far packets were overtaken, measured where they leave: RFC 4737, sections 4.1 and 4.2.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace faultline {

/// A packet is reordered when one that came later left before it (4.1). Its extent is how many
/// places before it the first of those left (4.2.2).
class ReorderingMeter {
 public:
  static constexpr std::uint32_t kLeadersMax = 4'096;

  /// The next packet leaves: the number in which it came, modulo 2^32. Its extent; 0: it is not
  /// reordered. Exact unless the first that came later was followed by kLeadersMax more that were
  /// the latest so far: then at least.
  std::uint32_t note(std::uint32_t number) noexcept {
    const std::uint32_t place = places_++;
    if (leaders_ == 0 || later(number, at(leaders_ - 1).number)) {
      leaders_at_[leaders_++ % kLeadersMax] = {number, place};
      return 0;
    }
    // Leaders rise both in number and in place: the first one that came later, looked for from the
    // end in steps that double, for it is seldom far.
    const std::uint64_t kept = leaders_ > kLeadersMax ? kLeadersMax : leaders_;
    const auto came_later = [&](std::uint64_t back) {
      return back < kept && later(at(leaders_ - 1 - back).number, number);
    };
    std::uint64_t step = 1;
    while (came_later(step)) step *= 2;
    std::uint64_t back = step / 2;
    for (step /= 4; step > 0; step /= 2) back += came_later(back + step) ? step : 0;
    return place - at(leaders_ - 1 - back).place;
  }

 private:
  /// A packet that came later than all that left before it.
  struct Leader {
    std::uint32_t number = 0;
    std::uint32_t place = 0;  ///< among those that left
  };

  static bool later(std::uint32_t left, std::uint32_t right) noexcept {
    return static_cast<std::int32_t>(left - right) > 0;
  }
  const Leader& at(std::uint64_t leader) const noexcept {
    return leaders_at_[leader % kLeadersMax];
  }

  std::array<Leader, kLeadersMax> leaders_at_{};
  std::uint64_t leaders_ = 0;
  std::uint32_t places_ = 0;
};

}  // namespace faultline
