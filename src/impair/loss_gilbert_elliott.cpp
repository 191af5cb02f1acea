// loss, model gilbert-elliott (and gilbert, its case with the defaults): a two-state chain, Good
// and Bad, with a loss probability in each. E. N. Gilbert, "Capacity of a burst-noise channel",
// BSTJ 39 (1960); E. O. Elliott, "Estimates of error rates for codes on burst-noise channels", BSTJ
// 42 (1963).
//
// The chain stores nothing that it could not compute again. Step n draws one uniform u(n): below
// min(p, 1−r) the next state is Bad, from max(p, 1−r) on it is Good, whatever the state was; in the
// band between, the state stays (p + r ≤ 1) or flips (p + r > 1). So the state is found by looking
// back to the last step that was decided, 1/(p+r) steps on average, and it is exactly stationary,
// also before packet 1. A scope caches the state it last knew, so that in sequence a step costs one
// draw.
#include <algorithm>

#include "base/dice.hpp"
#include "base/units.hpp"
#include "impair/loss.hpp"

namespace faultline {
namespace {

/// No outcome within this many steps (p + r below about 10⁻⁵): drawn from the stationary law.
constexpr std::uint64_t kLookBackMax = 1 << 20;

struct GilbertElliott {
  Dice transition;
  Dice fate;
  Threshold bad_below;   ///< min(p, 1−r)
  Threshold good_from;   ///< max(p, 1−r)
  Threshold stationary;  ///< π_B = p/(p+r)
  Threshold loss_good;
  Threshold loss_bad;
  std::uint32_t fingerprint = 0;  ///< of the parameters: a changed rule does not trust the cache
  bool band_flips = false;        ///< p + r > 1
  LossAction action = LossAction::kDrop;
};
static_assert(sizeof(GilbertElliott) <= Parameters::kBytes);

/// The state before step `index`, when `known`.
struct Chain {
  std::uint64_t index = 0;
  std::uint32_t fingerprint = 0;
  bool known = false;
  bool bad = false;
};

class ChainWalk {
 public:
  ChainWalk(const GilbertElliott& model, std::uint64_t identity, Chain chain,
            ImpairmentTally& tally) noexcept
      : model_(model), identity_(identity), chain_(chain), tally_(tally) {
    if (chain_.fingerprint != model.fingerprint)
      chain_ = Chain{0, model.fingerprint, false, false};
  }

  /// The state before step `index`: the outcome of step index − 1. Indices may be asked in any
  /// order; ascending ones are cheap.
  bool bad_before(std::uint64_t index) noexcept {
    if (!chain_.known || chain_.index != index) {
      chain_.bad = look_back(index);
      chain_.index = index;
      chain_.known = true;
    }
    return chain_.bad;
  }

  const Chain& chain() const noexcept { return chain_; }

 private:
  enum class Outcome : std::uint8_t { kBad, kGood, kBand };

  Outcome outcome(std::uint64_t step) noexcept {
    const std::uint32_t upper = cache_.upper(model_.transition, identity_, step);
    if (model_.transition.hits(upper, identity_, step, model_.bad_below))
      return Outcome::kBad;
    return model_.transition.hits(upper, identity_, step, model_.good_from) ? Outcome::kBand
                                                                            : Outcome::kGood;
  }

  bool look_back(std::uint64_t index) noexcept {
    bool flipped = false;
    for (std::uint64_t back = 1; back <= kLookBackMax; ++back) {
      const std::uint64_t step = index - back;  // wraps below 0: the chain has no beginning
      const Outcome found = outcome(step);
      if (found != Outcome::kBand)
        return (found == Outcome::kBad) != flipped;
      flipped ^= model_.band_flips;
      if (chain_.known && chain_.index == step)
        return chain_.bad != flipped;
    }
    ++tally_.undecided;
    // One draw for the whole scope (0 is no packet's number), carried through the flips: whoever
    // asks for a state finds the same chain.
    const bool parity = model_.band_flips && (index & 1) != 0;
    return model_.fate.hits(identity_, 0, model_.stationary) != parity;
  }

  const GilbertElliott& model_;
  std::uint64_t identity_;
  Chain chain_;
  ImpairmentTally& tally_;
  DiceCache cache_;
};

bool lost(const GilbertElliott& model, std::uint64_t identity, std::uint64_t index,
          bool bad) noexcept {
  const Threshold& threshold = bad ? model.loss_bad : model.loss_good;
  if (threshold == Threshold::never())
    return false;
  return threshold == Threshold::always() || model.fate.hits(identity, index, threshold);
}

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally& tally) noexcept {
  const GilbertElliott& model = parameters.as<GilbertElliott>();
  for_each_scope_run(asked, selection, [&](std::uint32_t first, std::uint32_t end) {
    const std::uint8_t head = selection.position[first];
    const std::uint64_t scope = asked.scope[head];
    ChainWalk walk(model, scope, asked.state[head]->as<Chain>(), tally);
    for (std::uint32_t turn = first; turn < end; ++turn) {
      const std::uint8_t i = selection.position[turn];
      // Loss is drawn with the state held before the packet's own transition.
      if (lost(model, scope, asked.step[i], walk.bad_before(asked.step[i])))
        lose(model.action, burst, i);
    }
    asked.state[head]->as<Chain>() = walk.chain();
  });
}

/// p / (p + r) in 32 bits: drawn only where no outcome was found.
Threshold stationary_share(Threshold p, Threshold r) {
  const double share = p.approximate() / (p.approximate() + r.approximate());
  const double scaled = share * 4294967296.0;
  return {static_cast<std::uint64_t>(scaled), 0};
}

std::uint32_t fingerprint_of(const GilbertElliott& model) {
  const std::uint64_t words[] = {model.transition.uniform(0, 0), model.bad_below.high,
                                 model.bad_below.low, model.good_from.high, model.good_from.low};
  std::uint64_t hash = hash_name("gilbert-elliott");
  for (const std::uint64_t word : words) hash = (hash ^ word) * 0x100000001B3;
  return static_cast<std::uint32_t>(hash ^ (hash >> 32));
}

struct Spelling {
  std::optional<Threshold> p;
  std::optional<Threshold> r;
  Threshold loss_bad = Threshold::always();
  Threshold loss_good = Threshold::never();
  LossAction action = LossAction::kDrop;
};

std::optional<Spelling> read_spelling(const ConfigNode& node, Problems& problems) {
  const std::size_t problems_before = problems.size();
  Spelling spelling;
  MappingReader reader(node, "loss", problems);
  reader.take("model");
  reader.refuse_not_yet({"rate", "burst", "start", "clock", "slot"});
  spelling.action = read_loss_action(reader, problems);
  if (const ConfigNode* value = reader.require("p"))
    spelling.p = read_probability(*value, problems);
  if (const ConfigNode* value = reader.require("r"))
    spelling.r = read_probability(*value, problems);
  if (const ConfigNode* value = reader.take("loss_bad"))
    spelling.loss_bad = read_probability(*value, problems).value_or(spelling.loss_bad);
  if (const ConfigNode* value = reader.take("loss_good"))
    spelling.loss_good = read_probability(*value, problems).value_or(spelling.loss_good);
  reader.finish();
  if (spelling.p && spelling.r && *spelling.p == Threshold::never() &&
      *spelling.r == Threshold::never())
    problems.push_back(
        problem_at(node.mark, "p and r are both 0, so the chain never moves", "p + r above 0"));
  if (problems.size() != problems_before)
    return std::nullopt;
  return spelling;
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const std::optional<Spelling> spelling = read_spelling(node, problems);
  if (!spelling)
    return std::nullopt;
  const Threshold p = *spelling->p;
  const Threshold stays_bad = spelling->r->complement();
  GilbertElliott model{};
  model.transition = Dice(context.seed, context.rule_name, context.index, DicePurpose::kTransition);
  model.fate = Dice(context.seed, context.rule_name, context.index, DicePurpose::kFate);
  model.bad_below = std::min(p, stays_bad);
  model.good_from = std::max(p, stays_bad);
  model.band_flips = p > stays_bad;
  model.stationary = stationary_share(p, *spelling->r);
  model.loss_good = spelling->loss_good;
  model.loss_bad = spelling->loss_bad;
  model.action = spelling->action;
  model.fingerprint = fingerprint_of(model);
  return CompiledImpairment{.parameters = Parameters::from(model),
                            .decide = decide,
                            .uses_state = true,
                            .uses_step = true,
                            .drops = true,
                            .owns_scope = true};
}

}  // namespace

extern const ImpairmentModel kModel_loss_gilbert_elliott;
const ImpairmentModel kModel_loss_gilbert_elliott{"loss", "gilbert-elliott", "gilbert", false,
                                                  compile};

}  // namespace faultline
