// loss, model outage: a link that is up and down in time, and loses everything while it is down, or
// each packet with probability `rate`.
//
// Constant: up first, then down, and so on, from time zero. Exponential: up and down times are
// exponential with these means, made by uniformization (A. Jensen, "Markoff chains as an aid in the
// study of Markoff processes", Skand. Aktuarietidskr. 36, 1953): a Poisson clock of rate 1/up +
// 1/down ticks, and at each tick the new state is Down with probability down/(up + down), whatever
// the old one was. So the state is the outcome of the last tick, found by looking back, exactly
// stationary, a function of time alone. Ticks are made slot by slot, one in a slot on average:
// their number by its distribution, their places uniform.
#include <algorithm>
#include <array>

#include "base/dice.hpp"
#include "base/int128.hpp"
#include "base/units.hpp"
#include "impair/edits.hpp"
#include "impair/hits.hpp"
#include "impair/loss.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kLookBackMax = 1 << 20;

struct ConstantOutage {
  std::uint64_t up_ns = 1;
  std::uint64_t down_ns = 1;
  Hits hits;  ///< while it is down
  LossAction action = LossAction::kDrop;
};

/// Loses those of the turns that the dice hit; without a rate, all.
void lose_some(Turns down, const Hits& hits, LossAction action, const Asked& asked,
               JudgedBurst& burst, const Selection& selection) noexcept {
  if (down != 0)
    for_each_turn(down & hits.among(asked, selection), selection,
                  [&](std::uint8_t i, std::uint32_t) { lose(action, burst, i); });
}

/// With a rate also the draw that decides while it is down.
Explanation explain_state(bool down, const Hits& hits, const Asked& asked, std::uint8_t i) {
  Explanation explanation;
  if (down && hits.rate != Threshold::always())
    explanation = hits.explain(asked, i);
  explanation.state = down ? "down" : "up";
  return explanation;
}

void decide_constant(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
                     const Selection& selection, ImpairmentTally&) noexcept {
  const ConstantOutage& model = parameters.as<ConstantOutage>();
  Turns down = 0;
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    const std::uint64_t phase_ns =
        (burst.time_ns[i] - asked.zero_ns) % (model.up_ns + model.down_ns);
    down |= Turns{phase_ns >= model.up_ns} << turn;
  }
  lose_some(down, model.hits, model.action, asked, burst, selection);
}

Explanation explain_constant(const Parameters& parameters, const Asked& asked,
                             const JudgedBurst& burst, std::uint8_t i) {
  const ConstantOutage& model = parameters.as<ConstantOutage>();
  const std::uint64_t phase_ns = (burst.time_ns[i] - asked.zero_ns) % (model.up_ns + model.down_ns);
  return explain_state(phase_ns >= model.up_ns, model.hits, asked, i);
}

/// P(N ≤ k)·2^64 of a Poisson number N with mean 1.
constexpr std::array<std::uint64_t, 15> kTicksAtMost{
    0x5E2D58D8B3BCDF1A, 0xBC5AB1B16779BE35, 0xEB715E1DC1582DC2, 0xFB23979734A252F1,
    0xFF1025F59174DC3D, 0xFFD90F3BA4055E19, 0xFFFA8B71FC72C913, 0xFFFF540C0914B3C9,
    0xFFFFED1F4AA8F120, 0xFFFFFE216E641462, 0xFFFFFFD4D85D3183, 0xFFFFFFFC6DA262B4,
    0xFFFFFFFFBA12D178, 0xFFFFFFFFFB07C64C, 0xFFFFFFFFFFAB8EA5};
/// Numbers drawn for a slot: of ticks, and place and outcome of each.
constexpr std::uint64_t kDrawsASlot = 32;

struct RandomOutage {
  Dice dice;
  std::uint64_t slot_ns = 1;  ///< one tick on average
  Threshold down;             ///< the outcome of a tick
  Hits hits;                  ///< while it is down
  LossAction action = LossAction::kDrop;
};

/// The outcome of the last tick before a slot begins, when known.
struct Known {
  std::uint64_t slot_plus_one = 0;
  bool down = false;
};

enum class Tick : std::uint8_t { kNone, kUp, kDown };

/// The last tick of a slot at or before `place_ns` within it.
Tick last_tick(const RandomOutage& model, std::uint64_t identity, std::uint64_t slot,
               std::uint64_t place_ns) noexcept {
  const std::uint64_t base = slot * kDrawsASlot;
  const std::uint64_t number = model.dice.uniform(identity, base);
  Tick last = Tick::kNone;
  std::uint64_t last_ns = 0;
  for (std::uint64_t tick = 0; tick < kTicksAtMost.size() && number >= kTicksAtMost[tick]; ++tick) {
    const std::uint64_t drawn = model.dice.uniform(identity, base + 1 + 2 * tick);
    const auto tick_ns =
        static_cast<std::uint64_t>((static_cast<Uint128>(drawn) * model.slot_ns) >> 64);
    if (tick_ns > place_ns || (last != Tick::kNone && tick_ns < last_ns))
      continue;
    last_ns = tick_ns;
    last = model.dice.hits(identity, base + 2 + 2 * tick, model.down) ? Tick::kDown : Tick::kUp;
  }
  return last;
}

bool is_down(const RandomOutage& model, std::uint64_t identity, std::uint64_t since_zero_ns,
             Known& known, ImpairmentTally& tally) noexcept {
  const std::uint64_t slot = since_zero_ns / model.slot_ns;
  const Tick here = last_tick(model, identity, slot, since_zero_ns % model.slot_ns);
  if (here != Tick::kNone)
    return here == Tick::kDown;
  if (known.slot_plus_one == slot + 1)
    return known.down;
  known = {slot + 1, false};
  for (std::uint64_t back = 1; back <= kLookBackMax; ++back) {
    const Tick before = last_tick(model, identity, slot - back, model.slot_ns);
    if (before == Tick::kNone)
      continue;
    known.down = before == Tick::kDown;
    return known.down;
  }
  ++tally.undecided;
  return false;
}

void decide_random(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
                   const Selection& selection, ImpairmentTally& tally) noexcept {
  const RandomOutage& model = parameters.as<RandomOutage>();
  Turns down = 0;
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    const bool is_lost = is_down(model, asked.scope[i], burst.time_ns[i] - asked.zero_ns,
                                 asked.state[i]->as<Known>(), tally);
    down |= Turns{is_lost} << turn;
  }
  lose_some(down, model.hits, model.action, asked, burst, selection);
}

Explanation explain_random(const Parameters& parameters, const Asked& asked,
                           const JudgedBurst& burst, std::uint8_t i) {
  Known known = asked.state[i]->as<Known>();
  ImpairmentTally tally;
  const RandomOutage& model = parameters.as<RandomOutage>();
  const bool down = is_down(model, asked.scope[i], burst.time_ns[i] - asked.zero_ns, known, tally);
  return explain_state(down, model.hits, asked, i);
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const std::size_t problems_before = problems.size();
  const Bounds bounds{kNsPerUs, kDurationMaxNs / 4};
  MappingReader reader(node, "loss", problems);
  reader.take("model");
  ConstantOutage times;
  times.action = read_loss_action(reader, problems);
  times.hits.dice = dice_for(context, DicePurpose::kFate);
  bool exponential = false;
  if (const ConfigNode* value = reader.require("up"))
    times.up_ns = read_duration_ns(*value, bounds, problems).value_or(1);
  if (const ConfigNode* value = reader.require("down"))
    times.down_ns = read_duration_ns(*value, bounds, problems).value_or(1);
  if (const ConfigNode* value = reader.take("distribution"))
    exponential = read_word(*value, {"constant", "exponential"}, problems) == 1U;
  if (const ConfigNode* value = reader.take("rate"))
    times.hits.rate = read_probability(*value, problems).value_or(Threshold::always());
  reader.finish();
  if (problems.size() != problems_before)
    return std::nullopt;
  CompiledImpairment compiled{.parameters = Parameters::from(times),
                              .decide = decide_constant,
                              .explain = explain_constant,
                              .uses_dice = times.hits.rate != Threshold::always(),
                              .drops = true};
  if (exponential) {
    const std::uint64_t sum_ns = times.up_ns + times.down_ns;
    const auto slot_ns = static_cast<std::uint64_t>(
        (static_cast<Uint128>(times.up_ns) * times.down_ns + sum_ns / 2) / sum_ns);
    const Threshold down =
        Threshold::from_share((static_cast<Uint128>(times.down_ns) << 64) / sum_ns);
    const Dice dice(context.seed, context.rule_name, context.index, DicePurpose::kTransition);
    compiled.parameters =
        Parameters::from(RandomOutage{dice, slot_ns, down, times.hits, times.action});
    compiled.decide = decide_random;
    compiled.explain = explain_random;
    compiled.state_bytes = sizeof(Known);
  }
  return compiled;
}

}  // namespace

extern const ImpairmentModel kModel_loss_outage;
const ImpairmentModel kModel_loss_outage{"loss", "outage", "", false, compile, true};

}  // namespace faultline
