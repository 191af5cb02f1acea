// loss, model markov4: the four-state chain of S. Salsano, F. Ludovici, A. Ordine, D. Giannuzzi,
// "Definition of a general and intuitive loss model for packet networks and its implementation in
// the Netem module in the Linux kernel" (2012). States: 1 received in a gap, 2 received in a burst,
// 3 lost in a burst, 4 lost alone in a gap. A packet is lost when the new state is 3 or 4.
//
// Step n draws one uniform u(n), which says for each old state what the new one is: a map of four
// states. The state after a step is found by composing maps backwards until all old states lead to
// one new state (coupling from the past; J. G. Propp, D. B. Wilson, "Exact sampling with coupled
// Markov chains", Random Struct. Alg. 9, 1996): exactly stationary, a function of the step alone. A
// scope caches the state it last knew, so that in sequence a step costs one draw.
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "base/dice.hpp"
#include "base/units.hpp"
#include "impair/loss.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kLookBackMax = 1 << 20;

/// States 1 … 4 as 0 … 3.
using State = std::uint8_t;
constexpr State kGapReceived = 0;
constexpr State kBurstReceived = 1;
constexpr State kBurstLost = 2;
constexpr State kIsolatedLost = 3;

/// Where u leads, as thresholds: below the first to one state, below the second to another.
struct Markov4 {
  Dice transition;
  Threshold gap_to_burst;      ///< 1 → 3 below p13
  Threshold gap_to_lost;       ///< 1 → 4 below p13 + p14, else 1 → 1
  Threshold received_to_lost;  ///< 2 → 3 below p23, else 2 → 2
  Threshold lost_to_lost;      ///< 3 → 3 below 1 − p31 − p32
  Threshold lost_to_received;  ///< 3 → 2 below 1 − p31, else 3 → 1
  std::uint32_t fingerprint = 0;
  LossAction action = LossAction::kDrop;
};
static_assert(sizeof(Markov4) <= Parameters::kBytes);

/// The state after step `index`, when `known`.
struct Chain {
  std::uint64_t index = 0;
  std::uint32_t fingerprint = 0;
  bool known = false;
  State state = kGapReceived;
};

class Walk {
 public:
  Walk(const Markov4& model, std::uint64_t identity, Chain chain, ImpairmentTally& tally) noexcept
      : model_(model), identity_(identity), chain_(chain), tally_(tally) {
    if (chain_.fingerprint != model.fingerprint)
      chain_ = Chain{0, model.fingerprint, false, kGapReceived};
  }

  State after(std::uint64_t index) noexcept {
    if (!chain_.known || chain_.index != index) {
      chain_.state = find(index);
      chain_.index = index;
      chain_.known = true;
    }
    return chain_.state;
  }

  const Chain& chain() const noexcept { return chain_; }

 private:
  using Map = std::array<State, 4>;

  bool below(std::uint64_t step, std::uint32_t upper, const Threshold& threshold) const noexcept {
    return model_.transition.hits(upper, identity_, step, threshold);
  }

  State next(std::uint64_t step, std::uint32_t upper, State from) const noexcept {
    switch (from) {
      case kGapReceived:
        if (below(step, upper, model_.gap_to_burst))
          return kBurstLost;
        return below(step, upper, model_.gap_to_lost) ? kIsolatedLost : kGapReceived;
      case kBurstReceived:
        return below(step, upper, model_.received_to_lost) ? kBurstLost : kBurstReceived;
      case kBurstLost:
        if (below(step, upper, model_.lost_to_lost))
          return kBurstLost;
        return below(step, upper, model_.lost_to_received) ? kBurstReceived : kGapReceived;
      default:
        return kGapReceived;
    }
  }

  State find(std::uint64_t index) noexcept {
    // `map`: the state after step `index`, for each state after step `step`.
    Map map{kGapReceived, kBurstReceived, kBurstLost, kIsolatedLost};
    for (std::uint64_t back = 0; back < kLookBackMax; ++back) {
      const std::uint64_t step = index - back;
      if (chain_.known && chain_.index == step)
        return map[chain_.state];
      const std::uint32_t upper = cache_.upper(model_.transition, identity_, step);
      Map before;
      for (State from = 0; from < 4; ++from) before[from] = map[next(step, upper, from)];
      map = before;
      if (map[0] == map[1] && map[1] == map[2] && map[2] == map[3])
        return map[0];
    }
    ++tally_.undecided;
    return map[kGapReceived];
  }

  const Markov4& model_;
  std::uint64_t identity_;
  Chain chain_;
  ImpairmentTally& tally_;
  DiceCache cache_;
};

bool is_lost(State state) noexcept {
  return state == kBurstLost || state == kIsolatedLost;
}

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally& tally) noexcept {
  const Markov4& model = parameters.as<Markov4>();
  for_each_scope_run(asked, selection, [&](std::uint32_t first, std::uint32_t end) {
    const std::uint8_t head = selection.position[first];
    Walk walk(model, asked.scope[head], asked.state[head]->as<Chain>(), tally);
    for (std::uint32_t turn = first; turn < end; ++turn) {
      const std::uint8_t i = selection.position[turn];
      if (is_lost(walk.after(asked.step[i])))
        lose(model.action, burst, i);
    }
    asked.state[head]->as<Chain>() = walk.chain();
  });
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst&,
                    std::uint8_t i) {
  const Markov4& model = parameters.as<Markov4>();
  ImpairmentTally tally;
  Walk walk(model, asked.scope[i], asked.state[i]->as<Chain>(), tally);
  constexpr std::string_view kNames[] = {"1: received in a gap", "2: received in a burst",
                                         "3: lost in a burst", "4: lost alone"};
  Explanation told;
  told.draw = unit_interval(model.transition.uniform(asked.scope[i], asked.step[i]));
  told.state = kNames[walk.after(asked.step[i])];
  return told;
}

/// The five probabilities of the paper.
struct Rates {
  Threshold p13;
  Threshold p31;
  Threshold p32;
  Threshold p23;
  Threshold p14;
};

/// Each key with its place in the result; `required` says which must stand there.
template <typename Value, typename Read>
void read_keys(MappingReader& reader,
               std::initializer_list<std::pair<std::string_view, Value*>> keys,
               std::initializer_list<std::string_view> required, const Read& read) {
  for (const auto& [key, value] : keys) {
    const bool needed = std::find(required.begin(), required.end(), key) != required.end();
    if (const ConfigNode* node = needed ? reader.require(key) : reader.take(key))
      *value = read(*node);
  }
}

std::optional<Rates> read_transitions(MappingReader& reader, Problems& problems) {
  Rates rates;
  rates.p23 = Threshold::always();
  read_keys<Threshold>(reader,
                       {{"p13", &rates.p13},
                        {"p31", &rates.p31},
                        {"p32", &rates.p32},
                        {"p23", &rates.p23},
                        {"p14", &rates.p14}},
                       {"p13", "p31"}, [&](const ConfigNode& value) {
                         return read_probability(value, problems).value_or(Threshold::never());
                       });
  return rates;
}

/// From the paper's intuitive parameters, with P the loss rate, B the mean burst, ρ the density of
/// losses in it, Pi the rate of lone losses and G the mean run received inside a burst:
/// p13 = (P − Pi)/(B·(1 − Pi)·(ρ − P)), p31 = 1/(ρ·B), p32 = (1 − ρ)/(ρ·G), p23 = 1/G,
/// p14 = Pi/(1 − Pi).
std::optional<Rates> read_intuitive(const ConfigNode& node, MappingReader& reader,
                                    Problems& problems) {
  Threshold rate;
  Threshold density = Threshold::always();
  Threshold isolated;
  double burst = 1;
  double gap = 1;
  const std::size_t problems_before = problems.size();
  read_keys<Threshold>(reader, {{"rate", &rate}, {"density", &density}, {"isolated", &isolated}},
                       {"rate"}, [&](const ConfigNode& value) {
                         return read_probability(value, problems).value_or(Threshold::never());
                       });
  read_keys<double>(reader, {{"burst", &burst}, {"burst_gap", &gap}}, {"burst"},
                    [&](const ConfigNode& value) {
                      return read_real(value, {1, 1e9}, problems).value_or(1);
                    });
  if (problems.size() != problems_before)
    return std::nullopt;
  const double p = rate.approximate();
  const double rho = density.approximate();
  const double pi = isolated.approximate();
  const std::pair<const char*, double> found[] = {
      {"p13", (p - pi) / (burst * (1 - pi) * (rho - p))},
      {"p31", 1 / (rho * burst)},
      {"p32", (1 - rho) / (rho * gap)},
      {"p23", 1 / gap},
      {"p14", pi / (1 - pi)}};
  for (const auto& [name, value] : found)
    if (!(value >= 0 && value <= 1))
      problems.push_back(problem_at(
          node.mark, fmt::format("these parameters lead to {} = {:g}", name, value),
          "isolated ≤ rate < density, and all of p13, p31, p32, p23, p14 between 0 and 1"));
  if (problems.size() != problems_before)
    return std::nullopt;
  return Rates{Threshold::from_double(found[0].second), Threshold::from_double(found[1].second),
               Threshold::from_double(found[2].second), Threshold::from_double(found[3].second),
               Threshold::from_double(found[4].second)};
}

bool sum_is_too_large(const Threshold& left, const Threshold& right) {
  return left.share() + right.share() > Threshold::always().share();
}

void check_rows(const ConfigNode& node, const Rates& rates, Problems& problems) {
  if (sum_is_too_large(rates.p13, rates.p14))
    problems.push_back(problem_at(node.mark, "p13 + p14 is above 1", "p13 + p14 ≤ 1"));
  if (sum_is_too_large(rates.p31, rates.p32))
    problems.push_back(problem_at(node.mark, "p31 + p32 is above 1", "p31 + p32 ≤ 1"));
  // D of the paper: 0 where the chain has no one stationary law.
  const double d =
      rates.p31.approximate() * rates.p23.approximate() * (1 + rates.p14.approximate()) +
      rates.p13.approximate() * (rates.p23.approximate() + rates.p32.approximate());
  if (!(d > 0))
    problems.push_back(problem_at(node.mark, "with these rates the chain never comes back",
                                  "p31·p23·(1 + p14) + p13·(p23 + p32) above 0"));
}

Markov4 model_of(const Rates& rates, const CompileContext& context) {
  Markov4 model{};
  model.transition = Dice(context.seed, context.rule_name, context.index, DicePurpose::kTransition);
  model.gap_to_burst = rates.p13;
  model.gap_to_lost = Threshold::from_share(rates.p13.share() + rates.p14.share());
  model.received_to_lost = rates.p23;
  model.lost_to_lost = Threshold::from_share(rates.p31.complement().share() - rates.p32.share());
  model.lost_to_received = rates.p31.complement();
  std::uint64_t hash = model.transition.uniform(0, 0);
  for (const Threshold& each : {model.gap_to_burst, model.gap_to_lost, model.received_to_lost,
                                model.lost_to_lost, model.lost_to_received})
    hash = (((hash ^ each.high) * 0x100000001B3) ^ each.low) * 0x100000001B3;
  model.fingerprint = static_cast<std::uint32_t>(hash ^ (hash >> 32));
  return model;
}

using Chances = std::array<double, 4>;  // of states 1 to 4

/// The x with x·A = b, by elimination with pivots. A is not singular.
Chances solve(std::array<Chances, 4> a, Chances b) {
  for (std::size_t column = 0; column < 4; ++column) {  // unknown `column` of the transposed system
    std::size_t pivot = column;
    for (std::size_t row = column + 1; row < 4; ++row)
      if (std::abs(a[column][row]) > std::abs(a[column][pivot]))
        pivot = row;
    for (Chances& unknown : a) std::swap(unknown[column], unknown[pivot]);
    std::swap(b[column], b[pivot]);
    for (std::size_t row = 0; row < 4; ++row) {
      if (row == column)
        continue;
      const double share = a[column][row] / a[column][column];
      for (Chances& unknown : a) unknown[row] -= share * unknown[column];
      b[row] -= share * b[column];
    }
  }
  for (std::size_t unknown = 0; unknown < 4; ++unknown) b[unknown] /= a[unknown][unknown];
  return b;
}

/// The share of lost packets, and the sum of the covariances of losses k ≥ 1 packets apart by the
/// chain's fundamental matrix (Kemeny & Snell, Finite Markov Chains, 1960, chapter 4):
/// Σ d·Pᵏ = d·P·(I − P + 1π)⁻¹ for a row d that adds up to 0.
LossShare share_of(const Rates& rates) {
  const double p13 = rates.p13.approximate();
  const double p14 = rates.p14.approximate();
  const double p23 = rates.p23.approximate();
  const double p31 = rates.p31.approximate();
  const double p32 = rates.p32.approximate();
  const std::array<Chances, 4> p{Chances{1 - p13 - p14, 0, p13, p14}, Chances{0, 1 - p23, p23, 0},
                                 Chances{p31, p32, 1 - p31 - p32, 0}, Chances{1, 0, 0, 0}};
  // π₃ = p13/p31·π₁, π₂ = p32/p23·π₃, π₄ = p14·π₁: flows into and out of each state are equal.
  Chances stationary{1, 0, p31 > 0 ? p13 / p31 : 0, p14};
  if (p31 == 0 && p13 > 0)
    stationary = {0, 0, 1, 0};
  if (p32 > 0 && p23 > 0)
    stationary[1] = stationary[2] * p32 / p23;
  else if (p32 > 0 && stationary[2] > 0)
    stationary = {0, 1, 0, 0};
  const double sum = stationary[0] + stationary[1] + stationary[2] + stationary[3];
  for (double& chance : stationary) chance /= sum;
  const double rate = stationary[2] + stationary[3];
  const double variance = rate * (1 - rate);
  if (variance <= 0)
    return {rate, 0};
  std::array<Chances, 4> fundamental{};
  Chances later{};
  for (std::size_t column = 0; column < 4; ++column) {
    for (std::size_t row = 0; row < 4; ++row) {
      const double lost = row >= 2 ? stationary[row] : 0;
      later[column] += (lost - rate * stationary[row]) * p[row][column];
      fundamental[row][column] = (row == column ? 1.0 : 0.0) - p[row][column] + stationary[column];
    }
  }
  const Chances sums = solve(fundamental, later);
  return {rate, std::max(0.0, 1 + 2 * (sums[2] + sums[3]) / variance)};
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const std::size_t problems_before = problems.size();
  MappingReader reader(node, "loss", problems);
  reader.take("model");
  const LossAction action = read_loss_action(reader, problems);
  const bool intuitive = reader.has("rate") || reader.has("burst");
  const std::optional<Rates> rates =
      intuitive ? read_intuitive(node, reader, problems) : read_transitions(reader, problems);
  reader.finish();
  if (rates && problems.size() == problems_before)
    check_rows(node, *rates, problems);
  if (!rates || problems.size() != problems_before)
    return std::nullopt;
  Markov4 model = model_of(*rates, context);
  model.action = action;
  return CompiledImpairment{.parameters = Parameters::from(model),
                            .decide = decide,
                            .explain = explain,
                            .state_bytes = sizeof(Chain),
                            .uses_step = true,
                            .drops = true,
                            .owns_scope = true,
                            .loss = share_of(*rates)};
}

}  // namespace

extern const ImpairmentModel kModel_loss_markov4;
const ImpairmentModel kModel_loss_markov4{"loss", "markov4", "", false, compile, true};

}  // namespace faultline
