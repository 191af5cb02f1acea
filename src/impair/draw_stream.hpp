// As many uniform numbers as one decision needs, from the one that was drawn for it: Philox keyed
// by that number, counting. A pure function of (seed, rule, impairment, identity, number), like it.
#pragma once

#include <cstdint>

#include "base/int128.hpp"
#include "base/philox.hpp"

namespace faultline {

class DrawStream {
 public:
  explicit DrawStream(std::uint64_t draw) noexcept
      : key_{static_cast<std::uint32_t>(draw), static_cast<std::uint32_t>(draw >> 32)} {}

  /// The next whole number in [0, 2^64).
  std::uint64_t next() noexcept {
    const std::uint32_t half = at_ & 1;
    if (half == 0)
      block_ = philox(key_, {at_ >> 1, 0, 0, 0x64726177});
    ++at_;
    return std::uint64_t{block_[2 * half]} << 32 | block_[2 * half + 1];
  }
  /// The next whole number in [0, bound).
  std::uint64_t below(std::uint64_t bound) noexcept {
    return static_cast<std::uint64_t>((static_cast<Uint128>(next()) * bound) >> 64);
  }

 private:
  PhiloxKey key_;
  PhiloxBlock block_{};
  std::uint32_t at_ = 0;
};

}  // namespace faultline
