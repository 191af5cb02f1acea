// delay with `order: free`: a draw for each packet, and packets may overtake. With `correlation`
// the draws of a scope are a first-order autoregression on the Gaussian level, so that the law of
// each stays the one asked for: z(n) = ρ·z(n−1) + √(1−ρ²)·N(n), delay = F⁻¹(Φ(z)).
#include <cmath>

#include <fmt/format.h>

#include "impair/delay_law.hpp"
#include "impair/hits.hpp"

namespace faultline {
namespace {

const DelayLaw& law_of(const Parameters& parameters) noexcept {
  return *parameters.as<const DelayLaw*>();
}

void give(const DelayLaw& law, std::uint64_t identity, Deviation deviation, JudgedBurst& burst,
          std::uint8_t i, ImpairmentTally& tally) noexcept {
  const DelayGiven given = delay_with(law, delay_of_flow(law, identity), deviation);
  burst.time_ns[i] += given.delay_ns;
  tally.cut += given.cut ? 1 : 0;
}

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally& tally) noexcept {
  const DelayLaw& law = law_of(parameters);
  Uniforms uniforms;
  draw_uniforms(law.draw_dice, asked, selection, uniforms);
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    give(law, burst.identity[i], law.quantiles->at(uniforms[turn]), burst, i, tally);
  }
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst&,
                    std::uint8_t i) {
  const DelayLaw& law = law_of(parameters);
  return {unit_interval(law.draw_dice.uniform(asked.identity[i], asked.number[i])), {}, {}};
}

/// What a flow's own delay was drawn for is told from the steps of a correlated one by this bit.
constexpr std::uint64_t kOwnDelay = std::uint64_t{1} << 63;

/// A scope's last draw.
struct Autoregression {
  DelayFloor of_other_forms;  ///< not used here: a change of form finds it where it left it
  std::uint64_t next = 0;     ///< the step that comes next; 0, or with kOwnDelay: none was drawn
  double z = 0;
};
static_assert(sizeof(Autoregression) <= kDelayStateBytes);

/// The level of step `step`, the scope's state moved on. Over steps in between that were not asked
/// for (packets that did not match) the correlation fades as it would have; a step that lies back
/// is drawn afresh.
double level(const DelayLaw& law, std::uint64_t scope, std::uint64_t step,
             Autoregression& state) noexcept {
  const double fresh = standard_normal(law.draw_dice.uniform(scope, step));
  if ((state.next & kOwnDelay) != 0)
    state.next = 0;
  if (state.next == 0 || step < state.next) {
    state.next = std::max(step + 1, state.next);
    state.z = fresh;
    return fresh;
  }
  double rho = law.correlation;
  for (std::uint64_t gap = step - state.next; gap > 0 && rho != 0; --gap) {
    rho *= law.correlation;
    if (rho < 1e-18 && rho > -1e-18)
      rho = 0;
  }
  state.z = rho * state.z + std::sqrt(1 - rho * rho) * fresh;
  state.next = step + 1;
  return state.z;
}

void decide_correlated(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
                       const Selection& selection, ImpairmentTally& tally) noexcept {
  const DelayLaw& law = law_of(parameters);
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    const double z =
        level(law, asked.scope[i], asked.step[i], asked.state[i]->as<Autoregression>());
    give(law, burst.identity[i], law.gaussian->at(z), burst, i, tally);
  }
}

Explanation explain_correlated(const Parameters& parameters, const Asked& asked, const JudgedBurst&,
                               std::uint8_t i) {
  const DelayLaw& law = law_of(parameters);
  Autoregression state = asked.state[i]->as<Autoregression>();
  const double z = level(law, asked.scope[i], asked.step[i], state);
  return {unit_interval(law.draw_dice.uniform(asked.scope[i], asked.step[i])),
          {},
          fmt::format("Gaussian level {:.6f}", z)};
}

/// What is remembered of a flow with a delay of its own.
struct OwnDelay {
  DelayFloor floor;
  std::uint64_t drawn_from;  ///< which parameters, with kOwnDelay; else `time_ns` was not drawn
  std::uint64_t time_ns;
};
static_assert(sizeof(OwnDelay) <= kDelayStateBytes);

/// Each flow's own delay, constant: its order is kept, and nobody else's matters.
void decide_per_flow(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
                     const Selection& selection, ImpairmentTally& tally) noexcept {
  const DelayLaw& law = law_of(parameters);
  const std::uint64_t drawn_from = law.fingerprint | kOwnDelay;
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    OwnDelay& own = asked.state[i]->as<OwnDelay>();
    own.floor.meet(law.fingerprint);
    if (own.drawn_from != drawn_from) [[unlikely]] {
      own.drawn_from = drawn_from;
      // A time that was drawn is never below zero here, whatever was subtracted.
      const auto drawn_ns =
          static_cast<std::uint64_t>(delay_of_flow(law, burst.identity[i]).time_ns);
      own.time_ns = std::min(drawn_ns, law.max_ns);
    }
    const std::uint64_t wanted_ns = burst.time_ns[i] + own.time_ns;
    const std::uint64_t given_ns = own.floor.give(wanted_ns);
    tally.clamped += given_ns > wanted_ns ? 1 : 0;
    burst.time_ns[i] = given_ns;
  }
}

Explanation explain_per_flow(const Parameters& parameters, const Asked&, const JudgedBurst& burst,
                             std::uint8_t i) {
  const DelayLaw& law = law_of(parameters);
  return {unit_interval(law.flow_dice.uniform(burst.identity[i], 0)), {}, "the flow's own delay"};
}

std::uint64_t longest(const DelayLaw& law) {
  const FlowDelay most = most_of_flows(law);
  const Deviation farthest = law.quantiles == nullptr ? 0 : law.quantiles->most();
  return delay_with(law, most, farthest).delay_ns;
}

/// As longest, for 999 packets of 1,000.
std::uint64_t usual(const DelayLaw& law) {
  if (law.quantiles == nullptr)
    return longest(law);
  const FlowDelay most = most_of_flows(law);
  return delay_with(law, most, law.quantiles->at(UINT64_MAX / 1000 * 999)).delay_ns;
}

/// The share of a law's delays for which `holds`; it holds up to some delay and no further.
template <typename Holds>
double share_until(const DelayLaw& law, const Holds& holds) {
  const FlowDelay delay = delay_of_flow(law, 0);
  std::uint64_t below = 0;  // the first for which it does not lies between
  std::uint64_t above = UINT64_MAX;
  while (below < above) {
    const std::uint64_t middle = below + (above - below) / 2;
    if (holds(delay_with(law, delay, law.quantiles->at(middle))))
      below = middle + 1;
    else
      above = middle;
  }
  return static_cast<double>(below) * 0x1p-64;
}

double share_within(const Parameters& parameters, std::uint64_t delay_ns) {
  return share_until(law_of(parameters),
                     [&](const DelayGiven& given) { return given.delay_ns <= delay_ns; });
}

/// Draws of an autoregression with ρ tell as much as (1−ρ)/(1+ρ) times as many, as means do; what
/// lies beyond a bound is less alike.
std::optional<DelayShape> shape_of(const DelayLaw& law) {
  if (law.per_flow())
    return std::nullopt;
  if (law.correlation == 0)
    return DelayShape{.share_within = share_within};
  return DelayShape{.packets = std::max(1.0, (1 + law.correlation) / (1 - law.correlation))};
}

DelayReview review(const Parameters& parameters, std::uint64_t) {
  return {0, cut_share(*parameters.as<const DelayLaw*>())};
}

}  // namespace

double cut_share(const DelayLaw& law) {
  return law.quantiles == nullptr
             ? 0
             : share_until(law, [](const DelayGiven& given) { return given.cut; });
}

CompiledImpairment compile_per_flow_delay(SharedLaw law) {
  CompiledImpairment compiled{.parameters = Parameters::from(law.get()),
                              .decide = decide_per_flow,
                              .explain = explain_per_flow,
                              .scope = Per::kFlow,
                              .adds_ns = longest(*law),
                              .state_bytes = kDelayStateBytes,
                              .delays = true,
                              .breaks_order = true};
  compiled.tables = std::move(law);
  return compiled;
}

CompiledImpairment compile_free_delay(SharedLaw law) {
  const bool correlated = law->correlation != 0;
  CompiledImpairment compiled{.parameters = Parameters::from(law.get()),
                              .decide = correlated ? decide_correlated : decide,
                              .explain = correlated ? explain_correlated : explain,
                              .fate = correlated ? std::nullopt : std::optional(law->draw_dice),
                              .adds_ns = longest(*law),
                              .uses_dice = !correlated,
                              .state_bytes = correlated ? kDelayStateBytes : 0,
                              .uses_step = correlated,
                              .delays = true,
                              .owns_scope = correlated,
                              .breaks_order = true,
                              .usual_ns = usual(*law),
                              .review = law->per_flow() ? nullptr : review,
                              .delay_shape = shape_of(*law)};
  if (law->per_flow())
    compiled.scope = Per::kFlow;
  compiled.tables = std::move(law);
  return compiled;
}

}  // namespace faultline
