// The two-state chain behind gilbert-elliott and correlated: Good and Bad, p = P(Good → Bad),
// r = P(Bad → Good) a step.
//
// The chain stores nothing that it could not compute again. Step n draws one uniform u(n): below
// min(p, 1−r) the next state is Bad, from max(p, 1−r) on it is Good, whatever the state was; in the
// band between, the state stays (p + r ≤ 1) or flips (p + r > 1). So the state is found by looking
// back to the last step that was decided, 1/(p+r) steps on average, and it is exactly stationary,
// also before packet 1. A scope caches the state it last knew, so that in sequence a step costs one
// draw.
#pragma once

#include "base/dice.hpp"
#include "impair/impairment.hpp"

namespace faultline {

struct TwoStateChain {
  Dice transition;
  Dice stationary_dice;           ///< for chains that hardly move; index 0, which is no packet's
  Threshold bad_below;            ///< min(p, 1−r)
  Threshold good_from;            ///< max(p, 1−r)
  Threshold stationary;           ///< π_B = p/(p+r)
  std::uint32_t fingerprint = 0;  ///< of the parameters: a changed rule does not trust the cache
  bool band_flips = false;        ///< p + r > 1
  bool starts_good = false;       ///< Good before step `first_step`, instead of stationary
  std::uint8_t first_step = 1;

  struct Rates {
    Threshold p;
    Threshold r;
  };
  /// p and r are not both 0.
  static TwoStateChain from(const CompileContext& context, const Rates& rates);
};

/// What a scope remembers: the state before step `index`, when `known`.
struct ChainState {
  std::uint64_t index = 0;
  std::uint32_t fingerprint = 0;
  bool known = false;
  bool bad = false;
};

class ChainWalk {
 public:
  ChainWalk(const TwoStateChain& chain, std::uint64_t identity, ChainState state,
            ImpairmentTally& tally) noexcept
      : chain_(chain), identity_(identity), state_(state), tally_(tally) {
    if (state_.fingerprint != chain.fingerprint)
      state_ = ChainState{0, chain.fingerprint, false, false};
  }

  /// The state before step `index`: the outcome of step index − 1. Indices may be asked in any
  /// order; ascending ones are cheap.
  bool bad_before(std::uint64_t index) noexcept {
    given_ = false;
    return look(index);
  }
  /// The same, given the upper half of the transition's number of step index − 1.
  bool bad_before(std::uint64_t index, std::uint32_t upper) noexcept {
    given_ = true;
    upper_ = upper;
    return look(index);
  }

  const ChainState& state() const noexcept { return state_; }

 private:
  bool look(std::uint64_t index) noexcept {
    if (!state_.known || state_.index != index) {
      state_.bad = look_back(index);
      state_.index = index;
      state_.known = true;
    }
    return state_.bad;
  }

  /// No outcome within this many steps (p + r below about 10⁻⁵): drawn from the stationary law.
  static constexpr std::uint64_t kLookBackMax = 1 << 20;

  enum class Outcome : std::uint8_t { kBad, kGood, kBand };

  Outcome outcome(std::uint64_t step) noexcept {
    const std::uint32_t upper = given_ ? upper_ : cache_.upper(chain_.transition, identity_, step);
    given_ = false;
    if (chain_.transition.hits(upper, identity_, step, chain_.bad_below))
      return Outcome::kBad;
    return chain_.transition.hits(upper, identity_, step, chain_.good_from) ? Outcome::kBand
                                                                            : Outcome::kGood;
  }

  bool look_back(std::uint64_t index) noexcept {
    bool flipped = false;
    for (std::uint64_t back = 1; back <= kLookBackMax; ++back) {
      if (chain_.starts_good && index - back == std::uint64_t{chain_.first_step} - 1)
        return flipped;
      const std::uint64_t step = index - back;  // wraps below 0: the chain has no beginning
      const Outcome found = outcome(step);
      if (found != Outcome::kBand)
        return (found == Outcome::kBad) != flipped;
      flipped ^= chain_.band_flips;
      if (state_.known && state_.index == step)
        return state_.bad != flipped;
    }
    ++tally_.undecided;
    // One draw for the whole scope, carried through the flips: whoever asks for a state finds the
    // same chain.
    const bool parity = chain_.band_flips && (index & 1) != 0;
    return chain_.stationary_dice.hits(identity_, 0, chain_.stationary) != parity;
  }

  const TwoStateChain& chain_;
  std::uint64_t identity_;
  ChainState state_;
  ImpairmentTally& tally_;
  bool given_ = false;  ///< the next step's upper half is known: upper_
  std::uint32_t upper_ = 0;
  DiceCache cache_;
};

}  // namespace faultline
