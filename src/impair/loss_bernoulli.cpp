// loss, model bernoulli: each packet is lost with probability `rate`, independently of all others.
// Memoryless: the fate of a packet is a pure function of (seed, rule, impairment, flow, number).
#include "base/dice.hpp"
#include "base/units.hpp"
#include "impair/impairment.hpp"

namespace faultline {
namespace {

struct Bernoulli {
  Dice dice;
  Threshold rate;
};

void decide(const Parameters& parameters, Scope, JudgedBurst& burst, const Selection& selection,
            ImpairmentTally&) noexcept {
  const Bernoulli bernoulli = parameters.as<Bernoulli>();
  DiceCache cache;
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    const std::uint32_t upper = cache.upper(bernoulli.dice, burst.identity[i], burst.number[i]);
    if (bernoulli.dice.hits(upper, burst.identity[i], burst.number[i], bernoulli.rate))
      burst.reason[i] = DropReason::kLoss;
  }
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const std::size_t problems_before = problems.size();
  std::optional<Threshold> rate;
  if (node.is_mapping()) {
    MappingReader reader(node, "loss", problems);
    reader.take("model");
    reader.refuse_not_yet({"action"});
    if (const ConfigNode* value = reader.require("rate"))
      rate = read_probability(*value, problems);
    reader.finish();
  } else {
    rate = read_probability(node, problems);
  }
  if (!rate || problems.size() != problems_before)
    return std::nullopt;
  const Bernoulli bernoulli{
      Dice(context.seed, context.rule_name, context.index, DicePurpose::kFate), *rate};
  return CompiledImpairment{.parameters = Parameters::from(bernoulli),
                            .decide = decide,
                            .needs_flow = true,
                            .drops = true};
}

}  // namespace

extern const ImpairmentModel kModel_loss_bernoulli;
const ImpairmentModel kModel_loss_bernoulli{"loss", "bernoulli", "", true, compile};

}  // namespace faultline
