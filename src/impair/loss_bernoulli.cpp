// loss, model bernoulli: each packet is lost with probability `rate`, independently of all others.
// Memoryless: the fate of a packet is a pure function of (seed, rule, impairment, flow, number).
#include "impair/edits.hpp"
#include "impair/loss.hpp"

namespace faultline {
namespace {

struct Bernoulli {
  Hits hits;
  LossAction action = LossAction::kDrop;
};

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally&) noexcept {
  const Bernoulli bernoulli = parameters.as<Bernoulli>();
  for_each_turn(bernoulli.hits.among(asked, selection), selection,
                [&](std::uint8_t i, std::uint32_t) { lose(bernoulli.action, burst, i); });
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst&,
                    std::uint8_t i) {
  return parameters.as<Bernoulli>().hits.explain(asked, i);
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
  const Bernoulli bernoulli{{dice_for(context, DicePurpose::kFate), *rate}, action};
  return CompiledImpairment{.parameters = Parameters::from(bernoulli),
                            .decide = decide,
                            .explain = explain,
                            .fate = bernoulli.hits.dice,
                            .uses_dice = true,
                            .drops = true,
                            .loss = LossShare{rate->approximate(), 1}};
}

}  // namespace

extern const ImpairmentModel kModel_loss_bernoulli;
const ImpairmentModel kModel_loss_bernoulli{"loss", "bernoulli", "", true, compile, true};

}  // namespace faultline
