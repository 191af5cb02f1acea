// loss, model bernoulli: each packet is lost with probability `rate`, independently of all others.
// Memoryless: the fate of a packet is a pure function of (seed, rule, impairment, flow, number).
#include "base/dice.hpp"
#include "base/units.hpp"
#include "impair/loss.hpp"

namespace faultline {
namespace {

struct Bernoulli {
  Dice dice;
  Threshold rate;
  LossAction action = LossAction::kDrop;
};

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally&) noexcept {
  const Bernoulli bernoulli = parameters.as<Bernoulli>();
  DiceCache cache;
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    const std::uint32_t upper = cache.upper(bernoulli.dice, asked.identity[i], asked.number[i]);
    if (bernoulli.dice.hits(upper, asked.identity[i], asked.number[i], bernoulli.rate))
      lose(bernoulli.action, burst, i);
  }
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst&,
                    std::uint8_t i) {
  const Bernoulli& bernoulli = parameters.as<Bernoulli>();
  return {unit_interval(bernoulli.dice.uniform(asked.identity[i], asked.number[i])),
          bernoulli.rate.approximate(),
          {}};
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const std::size_t problems_before = problems.size();
  std::optional<Threshold> rate;
  LossAction action = LossAction::kDrop;
  if (node.is_mapping()) {
    MappingReader reader(node, "loss", problems);
    reader.take("model");
    action = read_loss_action(reader, problems);
    if (const ConfigNode* value = reader.require("rate"))
      rate = read_probability(*value, problems);
    reader.finish();
  } else {
    rate = read_probability(node, problems);
  }
  if (!rate || problems.size() != problems_before)
    return std::nullopt;
  const Bernoulli bernoulli{
      Dice(context.seed, context.rule_name, context.index, DicePurpose::kFate), *rate, action};
  return CompiledImpairment{.parameters = Parameters::from(bernoulli),
                            .decide = decide,
                            .explain = explain,
                            .uses_dice = true,
                            .drops = true,
                            .loss = LossShare{rate->approximate(), 1}};
}

}  // namespace

extern const ImpairmentModel kModel_loss_bernoulli;
const ImpairmentModel kModel_loss_bernoulli{"loss", "bernoulli", "", true, compile};

}  // namespace faultline
