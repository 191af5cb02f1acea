// loss, model gilbert-elliott (and gilbert, its case with the defaults): a two-state chain, Good
// and Bad, with a loss probability in each. E. N. Gilbert, "Capacity of a burst-noise channel",
// BSTJ 39 (1960); E. O. Elliott, "Estimates of error rates for codes on burst-noise channels", BSTJ
// 42 (1963). The chain steps with packets, or with time (`clock: time`).
#include <cmath>

#include <fmt/format.h>

#include "base/units.hpp"
#include "impair/hits.hpp"
#include "impair/loss.hpp"
#include "impair/two_state_chain.hpp"

namespace faultline {
namespace {

constexpr double kMeanRunMax = 1e9;

struct GilbertElliott {
  TwoStateChain chain;
  Threshold loss_good;
  Threshold loss_bad;
  LossAction action = LossAction::kDrop;
};
static_assert(sizeof(GilbertElliott) <= Parameters::kBytes - 16);

/// With `clock: time`.
struct SlottedGilbertElliott {
  GilbertElliott model;
  std::uint64_t slot_ns = 0;
};
static_assert(sizeof(SlottedGilbertElliott) <= Parameters::kBytes);

/// By which numbers the fate dice of a packet are thrown.
struct FateNumber {
  std::uint64_t identity;
  std::uint64_t index;
};

bool lost(const GilbertElliott& model, FateNumber number, bool bad) noexcept {
  const Threshold& threshold = bad ? model.loss_bad : model.loss_good;
  if (threshold == Threshold::never())
    return false;
  // The stationary draw and the fates share their dice: index 0 is no packet's.
  return threshold == Threshold::always() ||
         model.chain.stationary_dice.hits(number.identity, number.index, threshold);
}

/// Packets of many scopes, whose numbers are thrown together.
void decide_many(const GilbertElliott& model, Asked& asked, JudgedBurst& burst,
                 const Selection& selection, ImpairmentTally& tally) noexcept {
  PerPacket<std::uint64_t> before;
  for (std::uint32_t turn = 0; turn < selection.count; ++turn)
    before[selection.position[turn]] = asked.step[selection.position[turn]] - 1;
  Uppers uppers;
  model.chain.transition.uppers(asked.scope.data(), before.data(), places_of(selection),
                                uppers.data());
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    ChainState& state = asked.state[i]->as<ChainState>();
    ChainWalk walk(model.chain, asked.scope[i], state, tally);
    if (lost(model, {asked.scope[i], asked.step[i]}, walk.bad_before(asked.step[i], uppers[turn])))
      lose(model.action, burst, i);
    state = walk.state();
  }
}

/// Loss is drawn with the state held before the packet's own transition.
void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally& tally) noexcept {
  const GilbertElliott& model = parameters.as<GilbertElliott>();
  if (selection.count > 1 &&
      asked.state[selection.position[0]] != asked.state[selection.position[selection.count - 1]]) {
    decide_many(model, asked, burst, selection, tally);
    return;
  }
  for_each_scope_run(asked, selection, [&](std::uint32_t first, std::uint32_t end) {
    const std::uint8_t head = selection.position[first];
    const std::uint64_t scope = asked.scope[head];
    ChainWalk walk(model.chain, scope, asked.state[head]->as<ChainState>(), tally);
    for (std::uint32_t turn = first; turn < end; ++turn) {
      const std::uint8_t i = selection.position[turn];
      if (lost(model, {scope, asked.step[i]}, walk.bad_before(asked.step[i])))
        lose(model.action, burst, i);
    }
    asked.state[head]->as<ChainState>() = walk.state();
  });
}

std::uint64_t slot_of(const SlottedGilbertElliott& slotted, const Asked& asked,
                      const JudgedBurst& burst, std::uint8_t i) noexcept {
  return (burst.time_ns[i] - asked.zero_ns) / slotted.slot_ns;
}

void decide_in_time(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
                    const Selection& selection, ImpairmentTally& tally) noexcept {
  const SlottedGilbertElliott& slotted = parameters.as<SlottedGilbertElliott>();
  const GilbertElliott& model = slotted.model;
  for_each_scope_run(asked, selection, [&](std::uint32_t first, std::uint32_t end) {
    const std::uint8_t head = selection.position[first];
    ChainWalk walk(model.chain, asked.scope[head], asked.state[head]->as<ChainState>(), tally);
    for (std::uint32_t turn = first; turn < end; ++turn) {
      const std::uint8_t i = selection.position[turn];
      const bool bad = walk.bad_before(slot_of(slotted, asked, burst, i));
      if (lost(model, {asked.identity[i], asked.number[i]}, bad))
        lose(model.action, burst, i);
    }
    asked.state[head]->as<ChainState>() = walk.state();
  });
}

Explanation explain_state(const GilbertElliott& model, const Asked& asked, std::uint8_t i,
                          std::uint64_t step, FateNumber number) {
  ImpairmentTally tally;
  ChainWalk walk(model.chain, asked.scope[i], asked.state[i]->as<ChainState>(), tally);
  const bool bad = walk.bad_before(step);
  const Threshold& threshold = bad ? model.loss_bad : model.loss_good;
  Explanation told;
  told.state = bad ? "bad" : "good";
  told.threshold = threshold.approximate();
  told.draw = unit_interval(model.chain.stationary_dice.uniform(number.identity, number.index));
  return told;
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst&,
                    std::uint8_t i) {
  return explain_state(parameters.as<GilbertElliott>(), asked, i, asked.step[i],
                       {asked.scope[i], asked.step[i]});
}

Explanation explain_in_time(const Parameters& parameters, const Asked& asked,
                            const JudgedBurst& burst, std::uint8_t i) {
  const SlottedGilbertElliott& slotted = parameters.as<SlottedGilbertElliott>();
  return explain_state(slotted.model, asked, i, slot_of(slotted, asked, burst, i),
                       {asked.identity[i], asked.number[i]});
}

struct Spelling {
  std::optional<Threshold> p;
  std::optional<Threshold> r;
  Threshold loss_bad = Threshold::always();
  Threshold loss_good = Threshold::never();
  LossAction action = LossAction::kDrop;
  std::uint64_t slot_ns = 0;  ///< 0: the chain steps with packets
  bool starts_good = false;
};

/// p and r of a chain that is Bad with probability `rate`, in runs of `burst` steps on average:
/// r = 1/burst, p = rate·r/(1 − rate).
void from_rate_and_burst(const ConfigNode& node, Threshold rate, double burst, Spelling& spelling,
                         Problems& problems) {
  const double share = rate.approximate();
  const double r = 1.0 / burst;
  const double p = share * r / (1.0 - share);
  if (rate == Threshold::always() || !(p <= 1.0)) {
    problems.push_back(problem_at(
        node.mark,
        fmt::format("a rate of {:g} in runs of {:g} would need p = {:g}", share, burst, p),
        "burst of at least rate/(1 - rate)"));
    return;
  }
  spelling.p = Threshold::from_double(p);
  spelling.r = Threshold::from_double(r);
}

void read_clock(MappingReader& reader, Spelling& spelling, Problems& problems) {
  const ConfigNode* clock = reader.take("clock");
  const ConfigNode* slot = reader.take("slot");
  const auto word =
      clock != nullptr ? read_word(*clock, {"packets", "time"}, problems) : std::nullopt;
  if (word && *word == 1) {
    spelling.slot_ns = kNsPerMs;
    if (slot != nullptr)
      spelling.slot_ns =
          read_duration_ns(*slot, {kNsPerUs, 3600 * kNsPerSecond}, problems).value_or(kNsPerMs);
  } else if (slot != nullptr) {
    problems.push_back(problem_at(slot->mark, "a slot without clock: time", "both, or neither"));
  }
}

/// The mean run in steps.
std::optional<double> read_burst(const ConfigNode& node, const Spelling& spelling,
                                 Problems& problems) {
  if (spelling.slot_ns == 0)
    return read_real(node, {1.0, kMeanRunMax}, problems);
  const auto burst_ns = read_duration_ns(node, {spelling.slot_ns, kDurationMaxNs}, problems);
  if (!burst_ns)
    return std::nullopt;
  return static_cast<double>(*burst_ns) / static_cast<double>(spelling.slot_ns);
}

void read_chain(const ConfigNode& node, MappingReader& reader, Spelling& spelling,
                Problems& problems) {
  const ConfigNode* rate_node = reader.take("rate");
  const ConfigNode* burst_node = reader.take("burst");
  if (rate_node == nullptr && burst_node == nullptr) {
    if (const ConfigNode* value = reader.require("p"))
      spelling.p = read_probability(*value, problems);
    if (const ConfigNode* value = reader.require("r"))
      spelling.r = read_probability(*value, problems);
    if (spelling.p && spelling.r && *spelling.p == Threshold::never() &&
        *spelling.r == Threshold::never())
      problems.push_back(
          problem_at(node.mark, "p and r are both 0, so the chain never moves", "p + r above 0"));
    return;
  }
  for (const std::string_view other : {"p", "r"})
    if (const ConfigNode* value = reader.take(other))
      problems.push_back(problem_at(value->mark, fmt::format("'{}' beside rate and burst", other),
                                    "p and r, or rate and burst"));
  reader.require("rate");
  reader.require("burst");
  const auto rate = rate_node != nullptr ? read_probability(*rate_node, problems) : std::nullopt;
  const auto burst =
      burst_node != nullptr ? read_burst(*burst_node, spelling, problems) : std::nullopt;
  if (rate && burst)
    from_rate_and_burst(node, *rate, *burst, spelling, problems);
}

std::optional<Spelling> read_spelling(const ConfigNode& node, Problems& problems) {
  const std::size_t problems_before = problems.size();
  Spelling spelling;
  MappingReader reader(node, "loss", problems);
  reader.take("model");
  spelling.action = read_loss_action(reader, problems);
  read_clock(reader, spelling, problems);
  read_chain(node, reader, spelling, problems);
  if (const ConfigNode* value = reader.take("start"))
    spelling.starts_good = read_word(*value, {"stationary", "good"}, problems) == 1U;
  if (const ConfigNode* value = reader.take("loss_bad"))
    spelling.loss_bad = read_probability(*value, problems).value_or(spelling.loss_bad);
  if (const ConfigNode* value = reader.take("loss_good"))
    spelling.loss_good = read_probability(*value, problems).value_or(spelling.loss_good);
  reader.finish();
  if (problems.size() != problems_before)
    return std::nullopt;
  return spelling;
}

/// The covariance of losses k packets apart is π_G·π_B·(h_B − h_G)²·(1−p−r)ᵏ (h: losses of a
/// state).
LossShare share_of(const Spelling& spelling) {
  const double p = spelling.p->approximate();
  const double r = spelling.r->approximate();
  const double bad = p / (p + r);
  const double lost_bad = spelling.loss_bad.approximate();
  const double lost_good = spelling.loss_good.approximate();
  const double rate = bad * lost_bad + (1 - bad) * lost_good;
  const double variance = rate * (1 - rate);
  const double state = bad * (1 - bad) * (lost_bad - lost_good) * (lost_bad - lost_good);
  if (variance == 0)
    return {rate, 0};
  // Good at first: the states' share of losses comes near with (1−p−r)ᵏ.
  const double settling =
      spelling.starts_good ? std::abs(bad * (lost_bad - lost_good)) / (p + r) : 0;
  return {rate, 1 + 2 * state / variance * (1 - p - r) / (p + r), settling};
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const std::optional<Spelling> spelling = read_spelling(node, problems);
  if (!spelling)
    return std::nullopt;
  GilbertElliott model{};
  model.chain = TwoStateChain::from(context, {*spelling->p, *spelling->r});
  model.chain.starts_good = spelling->starts_good;
  model.chain.first_step = spelling->slot_ns == 0 ? 1 : 0;
  model.loss_good = spelling->loss_good;
  model.loss_bad = spelling->loss_bad;
  model.action = spelling->action;
  CompiledImpairment compiled{.parameters = Parameters::from(model),
                              .decide = decide,
                              .explain = explain,
                              .state_bytes = sizeof(ChainState),
                              .uses_step = true,
                              .drops = true,
                              .owns_scope = true};
  compiled.loss = share_of(*spelling);
  if (spelling->slot_ns != 0) {
    compiled.loss.reset();  // how packets fall into slots is the traffic's
    compiled.parameters = Parameters::from(SlottedGilbertElliott{model, spelling->slot_ns});
    compiled.decide = decide_in_time;
    compiled.explain = explain_in_time;
    compiled.uses_dice = true;
    compiled.uses_step = false;
    compiled.owns_scope = false;
  }
  return compiled;
}

}  // namespace

extern const ImpairmentModel kModel_loss_gilbert_elliott;
const ImpairmentModel kModel_loss_gilbert_elliott{"loss", "gilbert-elliott", "gilbert",
                                                  false,  compile,           true};

}  // namespace faultline
