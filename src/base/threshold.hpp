// A probability, decided with 64 bits. The one form in which "how likely" enters the data path.
#pragma once

#include <compare>
#include <cstdint>

namespace faultline {

/// A probability p as a share of 2^64: a 64-bit uniform u hits iff u < threshold.
/// `high`:`low` is floor(p * 2^64); `high` is 2^32 only for p = 1, which always hits.
struct Threshold {
  std::uint64_t high = 0;  ///< 0 … 2^32
  std::uint32_t low = 0;

  static constexpr Threshold never() { return {}; }
  static constexpr Threshold always() { return {std::uint64_t{1} << 32, 0}; }

  /// 1 − p.
  constexpr Threshold complement() const noexcept {
    if (low == 0)
      return {(std::uint64_t{1} << 32) - high, 0};
    return {(std::uint64_t{1} << 32) - high - 1, static_cast<std::uint32_t>(0) - low};
  }

  /// p as a double: for reports, never for decisions.
  constexpr double approximate() const noexcept {
    return static_cast<double>(high) * 0x1p-32 + static_cast<double>(low) * 0x1p-64;
  }

  friend constexpr bool operator==(const Threshold&, const Threshold&) = default;
  friend constexpr auto operator<=>(const Threshold&, const Threshold&) = default;
};

}  // namespace faultline
