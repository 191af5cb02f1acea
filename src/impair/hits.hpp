// Which packets of a rule an impairment hits: each with one probability, independently of all
// others. A burst's numbers are thrown together.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>

#include "base/dice.hpp"
#include "impair/impairment.hpp"

namespace faultline {

/// A bit for each turn of a selection.
using Turns = std::uint64_t;
static_assert(kBurstMax == 64 && Dice::kAtOnce >= kBurstMax);

constexpr Turns all_turns(const Selection& selection) noexcept {
  return selection.count == kBurstMax ? ~Turns{0} : (Turns{1} << selection.count) - 1;
}

/// Calls `visit(position, turn)` for each of the turns, in order.
template <typename Visit>
void for_each_turn(Turns turns, const Selection& selection, const Visit& visit) noexcept {
  for (; turns != 0; turns &= turns - 1) {
    const auto turn = static_cast<std::uint32_t>(std::countr_zero(turns));
    visit(selection.position[turn], turn);
  }
}

inline std::span<const std::uint8_t> places_of(const Selection& selection) noexcept {
  return {selection.position.data(), selection.count};
}

/// The upper halves of a selection's numbers, by turn.
using Uppers = std::array<std::uint32_t, kBurstMax>;
inline void draw_uppers(const Dice& dice, const Asked& asked, const Selection& selection,
                        Uppers& uppers) noexcept {
  dice.uppers(asked.identity.data(), asked.number.data(), places_of(selection), uppers.data());
}

/// The numbers of a selection, by turn.
using Uniforms = std::array<std::uint64_t, kBurstMax>;
inline void draw_uniforms(const Dice& dice, const Asked& asked, const Selection& selection,
                          Uniforms& uniforms) noexcept {
  dice.uniforms(asked.identity.data(), asked.number.data(), places_of(selection), uniforms.data());
}

struct Hits {
  Dice dice;
  Threshold rate = Threshold::always();

  /// Which turns of the selection are hit.
  Turns among(const Asked& asked, const Selection& selection) const noexcept {
    if (rate == Threshold::always())
      return all_turns(selection);
    Uppers uppers;
    draw_uppers(dice, asked, selection, uppers);
    Turns hit = 0;
    for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
      const std::uint8_t i = selection.position[turn];
      hit |= Turns{dice.hits(uppers[turn], asked.identity[i], asked.number[i], rate)} << turn;
    }
    return hit;
  }
  Explanation explain(const Asked& asked, std::uint8_t i) const {
    return {
        unit_interval(dice.uniform(asked.identity[i], asked.number[i])), rate.approximate(), {}};
  }
};

}  // namespace faultline
