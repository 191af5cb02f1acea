// As many uniform numbers as one decision needs, from the one that was drawn for it: Philox keyed
// by that number, counting. A pure function of (seed, rule, impairment, identity, number), like it.
// The first is made when the decision is, for a burst together: made one by one, each would wait
// for its own.
#pragma once

#include <array>
#include <cstdint>

#include "base/int128.hpp"
#include "base/philox_blocks.hpp"

namespace faultline {

class DrawStream {
 public:
  /// `first` is what firsts() made of `draw`.
  DrawStream(std::uint64_t draw, std::uint64_t first) noexcept
      : key_(key_of(draw)), first_(first) {}

  /// The next whole number in [0, 2^64).
  std::uint64_t next() noexcept {
    const std::uint32_t at = at_++;
    if (at == 0)
      return first_;
    if (at == 1 || at % 2 == 0)
      block_ = philox(key_, counter_of(at / 2));
    return number_of(block_, at % 2);
  }
  /// The next whole number in [0, bound).
  std::uint64_t below(std::uint64_t bound) noexcept {
    return static_cast<std::uint64_t>((static_cast<Uint128>(next()) * bound) >> 64);
  }

  static constexpr std::uint32_t kAtOnce = 64;
  /// The first number of the stream of each of `count` draws, which are not more than kAtOnce.
  static void firsts(const std::uint64_t* draws, std::uint32_t count, std::uint64_t* out) noexcept {
    std::array<PhiloxKey, kAtOnce> keys;
    std::array<PhiloxBlock, kAtOnce> blocks;
    for (std::uint32_t i = 0; i < count; ++i) keys[i] = key_of(draws[i]);
    philox_blocks(keys.data(), counter_of(0), count, blocks.data());
    for (std::uint32_t i = 0; i < count; ++i) out[i] = number_of(blocks[i], 0);
  }

 private:
  static constexpr PhiloxKey key_of(std::uint64_t draw) noexcept {
    return {static_cast<std::uint32_t>(draw), static_cast<std::uint32_t>(draw >> 32)};
  }
  static constexpr PhiloxBlock counter_of(std::uint32_t block) noexcept {
    return {block, 0, 0, 0x64726177};
  }
  static constexpr std::uint64_t number_of(const PhiloxBlock& block, std::uint32_t half) noexcept {
    return std::uint64_t{block[2 * half]} << 32 | block[2 * half + 1];
  }

  PhiloxKey key_;
  std::uint64_t first_;
  PhiloxBlock block_;  ///< of number at_ − 1, unless that was the first
  std::uint32_t at_ = 0;
};

}  // namespace faultline
