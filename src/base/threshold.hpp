// A probability, decided with 64 bits. The one form in which "how likely" enters the data path.
#pragma once

#include <compare>
#include <cstdint>

#include "base/int128.hpp"

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

  /// p · 2^64, cut to a whole number: 0 … 2^64.
  constexpr Uint128 share() const noexcept { return (static_cast<Uint128>(high) << 32) | low; }
  static constexpr Threshold from_share(Uint128 share) noexcept {
    return {static_cast<std::uint64_t>(share >> 32), static_cast<std::uint32_t>(share)};
  }
  /// From a double in [0, 1], exactly.
  static constexpr Threshold from_double(double probability) noexcept {
    const double scaled = probability * 4294967296.0;
    const auto whole = static_cast<std::uint64_t>(scaled);
    const double rest = scaled - static_cast<double>(whole);
    return {whole, static_cast<std::uint32_t>(rest * 4294967296.0)};
  }
  /// The probability that both of two independent events happen.
  constexpr Threshold times(const Threshold& other) const noexcept {
    if (other == always())
      return *this;
    if (*this == always())
      return other;
    return from_share((share() * other.share()) >> 64);
  }

  /// p as a double: for reports, never for decisions.
  constexpr double approximate() const noexcept {
    return static_cast<double>(high) * 0x1p-32 + static_cast<double>(low) * 0x1p-64;
  }

  friend constexpr bool operator==(const Threshold&, const Threshold&) = default;
  friend constexpr auto operator<=>(const Threshold&, const Threshold&) = default;
};

}  // namespace faultline
