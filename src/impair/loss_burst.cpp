// loss, model burst: a run of `length` consecutive losses. With `probability` q a run begins at any
// packet that is not in one already (so the loss rate is L·q/(L·q + 1 − q)); with `every` at the
// first packet at or after each multiple of a time since time zero.
#include <algorithm>

#include "base/dice.hpp"
#include "base/units.hpp"
#include "impair/loss.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kLengthMax = 1'000'000'000;
/// Steps walked over at once where packets in between did not match. More are skipped.
constexpr std::uint64_t kGapMax = 1 << 20;

struct RandomBurst {
  Dice dice;
  Threshold probability;
  std::uint64_t length = 1;
  LossAction action = LossAction::kDrop;
};

struct Run {
  std::uint64_t first = 0;  ///< steps [first, end)
  std::uint64_t end = 0;
};

/// The steps seen so far, and the latest runs: a packet that was delayed may come after younger
/// ones.
struct Runs {
  std::uint64_t next = 0;  ///< step; 0: none seen yet
  Run latest[3];
};
static_assert(sizeof(Runs) <= ScopeState::kBytes);

void walk_to(const RandomBurst& model, std::uint64_t identity, std::uint64_t step, Runs& runs,
             ImpairmentTally& tally) noexcept {
  if (runs.next == 0)
    runs.next = step;
  if (step > runs.next && step - runs.next > kGapMax) {
    ++tally.undecided;
    runs.next = step;
  }
  DiceCache cache;
  for (; runs.next <= step; ++runs.next) {
    if (runs.next < runs.latest[0].end)
      continue;
    const std::uint32_t upper = cache.upper(model.dice, identity, runs.next);
    if (!model.dice.hits(upper, identity, runs.next, model.probability))
      continue;
    runs.latest[2] = runs.latest[1];
    runs.latest[1] = runs.latest[0];
    runs.latest[0] = {runs.next, runs.next + model.length};
  }
}

bool in_a_run(const Runs& runs, std::uint64_t step) noexcept {
  return std::ranges::any_of(
      runs.latest, [step](const Run& run) { return step >= run.first && step < run.end; });
}

void decide_random(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
                   const Selection& selection, ImpairmentTally& tally) noexcept {
  const RandomBurst& model = parameters.as<RandomBurst>();
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    Runs& runs = asked.state[i]->as<Runs>();
    walk_to(model, asked.scope[i], asked.step[i], runs, tally);
    if (in_a_run(runs, asked.step[i]))
      lose(model.action, burst, i);
  }
}

Explanation explain_random(const Parameters& parameters, const Asked& asked, const JudgedBurst&,
                           std::uint8_t i) {
  const RandomBurst& model = parameters.as<RandomBurst>();
  Runs runs = asked.state[i]->as<Runs>();
  Explanation told;
  if (in_a_run(runs, asked.step[i])) {
    told.state = "a run goes on";
    return told;
  }
  told.draw = unit_interval(model.dice.uniform(asked.scope[i], asked.step[i]));
  told.threshold = model.probability.approximate();
  return told;
}

struct TimedBurst {
  std::uint64_t every_ns = 1;
  std::uint64_t length = 1;
  LossAction action = LossAction::kDrop;
};

struct Timed {
  std::uint64_t instants = 0;   ///< multiples of the time that have been met
  std::uint64_t remaining = 0;  ///< losses still to come
};
static_assert(sizeof(Timed) <= sizeof(Runs));

void decide_timed(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
                  const Selection& selection, ImpairmentTally&) noexcept {
  const TimedBurst& model = parameters.as<TimedBurst>();
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    Timed& timed = asked.state[i]->as<Timed>();
    const std::uint64_t instants = (burst.time_ns[i] - asked.zero_ns) / model.every_ns;
    if (instants > timed.instants) {
      timed.instants = instants;
      timed.remaining = model.length;
    }
    if (timed.remaining == 0)
      continue;
    --timed.remaining;
    lose(model.action, burst, i);
  }
}

Explanation explain_timed(const Parameters& parameters, const Asked& asked,
                          const JudgedBurst& burst, std::uint8_t i) {
  const TimedBurst& model = parameters.as<TimedBurst>();
  const Timed& timed = asked.state[i]->as<Timed>();
  const bool begins = (burst.time_ns[i] - asked.zero_ns) / model.every_ns > timed.instants;
  return {{}, {}, begins ? "a run begins" : timed.remaining > 0 ? "a run goes on" : "no run"};
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const std::size_t problems_before = problems.size();
  MappingReader reader(node, "loss", problems);
  reader.take("model");
  const LossAction action = read_loss_action(reader, problems);
  std::uint64_t length = 1;
  if (const ConfigNode* value = reader.require("length"))
    length = read_count(*value, {1, kLengthMax}, problems).value_or(1);
  const ConfigNode* probability = reader.take("probability");
  const ConfigNode* every = reader.take("every");
  if ((probability == nullptr) == (every == nullptr))
    problems.push_back(problem_at(node.mark,
                                  probability == nullptr ? "loss: neither 'probability' nor 'every'"
                                                         : "loss: both 'probability' and 'every'",
                                  "one of the two"));
  std::optional<Threshold> share;
  std::optional<std::uint64_t> every_ns;
  if (probability != nullptr)
    share = read_probability(*probability, problems);
  if (every != nullptr)
    every_ns = read_duration_ns(*every, {kNsPerUs, kDurationMaxNs}, problems);
  reader.finish();
  if (problems.size() != problems_before)
    return std::nullopt;
  CompiledImpairment compiled{.state_bytes = sizeof(Runs), .drops = true, .owns_scope = true};
  if (share) {
    const Dice dice(context.seed, context.rule_name, context.index, DicePurpose::kFate);
    compiled.parameters = Parameters::from(RandomBurst{dice, *share, length, action});
    compiled.decide = decide_random;
    compiled.explain = explain_random;
    compiled.uses_step = true;
  } else {
    compiled.parameters = Parameters::from(TimedBurst{*every_ns, length, action});
    compiled.decide = decide_timed;
    compiled.explain = explain_timed;
  }
  return compiled;
}

}  // namespace

extern const ImpairmentModel kModel_loss_burst;
const ImpairmentModel kModel_loss_burst{"loss", "burst", "", false, compile, true};

}  // namespace faultline
