// The dice: which uniform number belongs to which packet. The layout is part of the product (the
// same seed hits the same packets on every machine and in every version), see
// docs/decisions/0004-dice.md:
//
// clang-format off
//   key   = words 0 and 1 of Philox(seed; name hash low, name hash high, impairment index, purpose)
//   block = Philox(key; index/4 low, index/4 high | word << 30, identity low, identity high)
//   u     = block(word 0)[index mod 4] * 2^32 + block(word 1)[index mod 4]
// clang-format on
//
// A decision compares the upper half first: the lower half is needed once in 2^32 draws, so four
// consecutive packets share one block and 64-bit probabilities cost what 32-bit ones do.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/philox.hpp"
#include "base/threshold.hpp"

namespace faultline {

/// What an impairment draws for. Each purpose has dice of its own, so that adding a second draw to
/// a model never moves its first.
enum class DicePurpose : std::uint32_t {
  kFate = 0,        ///< is this packet hit
  kTransition = 1,  ///< does the state of a chain change
  kDelay = 2,       ///< how long does it wait
  kKnot = 3,        ///< what level has a field here
  kFlow = 4,        ///< which parameters has a flow
};

/// FNV-1a, 64 bit (Fowler, Noll, Vo; draft-eastlake-fnv): names into numbers.
constexpr std::uint64_t hash_name(std::string_view name) noexcept {
  std::uint64_t hash = 0xCBF29CE484222325;
  for (const char letter : name) {
    hash ^= static_cast<std::uint8_t>(letter);
    hash *= 0x100000001B3;
  }
  return hash;
}

/// A whole number u of 64 bits as u / 2^64, for reports: never for decisions.
constexpr double unit_interval(std::uint64_t uniform) noexcept {
  return static_cast<double>(uniform) * 0x1p-64;
}

/// The dice of one (seed, rule, impairment, purpose).
class Dice {
 public:
  constexpr Dice() = default;
  constexpr Dice(std::uint64_t seed, std::string_view rule_name, std::uint32_t impairment_index,
                 DicePurpose purpose) noexcept {
    const std::uint64_t name = hash_name(rule_name);
    const PhiloxBlock words =
        philox({static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)},
               {static_cast<std::uint32_t>(name), static_cast<std::uint32_t>(name >> 32),
                impairment_index, static_cast<std::uint32_t>(purpose)});
    key_ = {words[0], words[1]};
  }

  /// The block that holds one half (word 0: upper, word 1: lower) of four consecutive numbers.
  constexpr PhiloxBlock block(std::uint64_t identity, std::uint64_t index,
                              std::uint32_t word) const noexcept {
    const std::uint64_t position = (index >> 2) | (std::uint64_t{word} << 62);
    return philox(
        key_, {static_cast<std::uint32_t>(position), static_cast<std::uint32_t>(position >> 32),
               static_cast<std::uint32_t>(identity), static_cast<std::uint32_t>(identity >> 32)});
  }

  /// Of so many packets numbers are made at once: a third of what each costs alone. `places` says
  /// which entries of `identities` and `indices`, and in which order they go to `out`.
  static constexpr std::uint32_t kAtOnce = 64;
  /// The upper halves.
  void uppers(const std::uint64_t* identities, const std::uint64_t* indices,
              std::span<const std::uint8_t> places, std::uint32_t* out) const noexcept;
  /// The whole numbers, as uniform().
  void uniforms(const std::uint64_t* identities, const std::uint64_t* indices,
                std::span<const std::uint8_t> places, std::uint64_t* out) const noexcept;

  /// The whole number u in [0, 2^64) of packet `index` of `identity`, given its upper half.
  constexpr std::uint64_t uniform(std::uint32_t upper, std::uint64_t identity,
                                  std::uint64_t index) const noexcept {
    return (std::uint64_t{upper} << 32) | block(identity, index, 1)[index & 3];
  }
  constexpr std::uint64_t uniform(std::uint64_t identity, std::uint64_t index) const noexcept {
    return uniform(block(identity, index, 0)[index & 3], identity, index);
  }

  /// u < threshold, given the upper half of u.
  constexpr bool hits(std::uint32_t upper, std::uint64_t identity, std::uint64_t index,
                      Threshold threshold) const noexcept {
    if (upper != threshold.high) [[likely]]
      return upper < threshold.high;
    return block(identity, index, 1)[index & 3] < threshold.low;
  }

  constexpr bool hits(std::uint64_t identity, std::uint64_t index,
                      Threshold threshold) const noexcept {
    return hits(block(identity, index, 0)[index & 3], identity, index, threshold);
  }

 private:
  PhiloxKey key_;
};

/// Remembers the last block of upper halves: consecutive numbers of one identity cost a quarter.
class DiceCache {
 public:
  constexpr std::uint32_t upper(const Dice& dice, std::uint64_t identity,
                                std::uint64_t index) noexcept {
    if (!filled_ || (index >> 2) != position_ || identity != identity_) {
      block_ = dice.block(identity, index, 0);
      position_ = index >> 2;
      identity_ = identity;
      filled_ = true;
    }
    return block_[index & 3];
  }

 private:
  PhiloxBlock block_{};
  std::uint64_t position_ = 0;
  std::uint64_t identity_ = 0;
  bool filled_ = false;
};

}  // namespace faultline
