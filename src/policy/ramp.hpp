// Ramps of a timeline: `set` with `over` lays values between what was and what is to be.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace faultline {

/// A ramp goes in so many steps, or in steps of a millisecond where that is longer.
inline constexpr std::uint64_t kRampSteps = 100;
constexpr std::uint64_t ramp_steps(std::uint64_t over_ns) noexcept {
  constexpr std::uint64_t kStepLeastNs = 1'000'000;
  const std::uint64_t most = over_ns / kStepLeastNs;
  return most == 0 ? 1 : most < kRampSteps ? most : kRampSteps;
}

/// The value of step `step` of `steps`, that in its middle: ((2 step + 1) / (2 steps)) of the way.
/// Both are numbers of one unit, or of one quantity; nothing where they are not.
std::optional<std::string> value_between(std::string_view from, std::string_view to,
                                         std::uint64_t step, std::uint64_t steps);

}  // namespace faultline
