// loss, model correlated: loss rate P with autocorrelation ρ at distance 1, ρⁿ at distance n. The
// two-state chain with p = P(1−ρ), r = (1−P)(1−ρ), lost where it is Bad: then 1 − p − r = ρ, and
// p/(p+r) = P.
#include "base/units.hpp"
#include "impair/loss.hpp"
#include "impair/two_state_chain.hpp"

namespace faultline {
namespace {

struct Correlated {
  TwoStateChain chain;
  LossAction action = LossAction::kDrop;
};
static_assert(sizeof(Correlated) <= Parameters::kBytes);

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally& tally) noexcept {
  const Correlated& model = parameters.as<Correlated>();
  for_each_scope_run(asked, selection, [&](std::uint32_t first, std::uint32_t end) {
    const std::uint8_t head = selection.position[first];
    ChainWalk walk(model.chain, asked.scope[head], asked.state[head]->as<ChainState>(), tally);
    for (std::uint32_t turn = first; turn < end; ++turn) {
      const std::uint8_t i = selection.position[turn];
      if (walk.bad_before(asked.step[i]))
        lose(model.action, burst, i);
    }
    asked.state[head]->as<ChainState>() = walk.state();
  });
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst&,
                    std::uint8_t i) {
  const Correlated& model = parameters.as<Correlated>();
  ImpairmentTally tally;
  ChainWalk walk(model.chain, asked.scope[i], asked.state[i]->as<ChainState>(), tally);
  return {{}, {}, walk.bad_before(asked.step[i]) ? "bad" : "good"};
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const std::size_t problems_before = problems.size();
  std::optional<Threshold> rate;
  std::optional<Threshold> correlation;
  Correlated model{};
  MappingReader reader(node, "loss", problems);
  reader.take("model");
  model.action = read_loss_action(reader, problems);
  if (const ConfigNode* value = reader.require("rate"))
    rate = read_probability(*value, problems);
  if (const ConfigNode* value = reader.require("correlation")) {
    correlation = read_probability(*value, problems);
    if (correlation == Threshold::always())
      problems.push_back(problem_at(value->mark, "a correlation of 1: the chain never moves",
                                    "a correlation below 100%"));
  }
  reader.finish();
  if (!rate || !correlation || problems.size() != problems_before)
    return std::nullopt;
  const Threshold free_share = correlation->complement();
  model.chain =
      TwoStateChain::from(context, {rate->times(free_share), rate->complement().times(free_share)});
  return CompiledImpairment{
      .parameters = Parameters::from(model),
      .decide = decide,
      .explain = explain,
      .state_bytes = sizeof(ChainState),
      .uses_step = true,
      .drops = true,
      .owns_scope = true,
      .loss = LossShare{rate->approximate(),
                        (1 + correlation->approximate()) / (1 - correlation->approximate())}};
}

}  // namespace

extern const ImpairmentModel kModel_loss_correlated;
const ImpairmentModel kModel_loss_correlated{"loss", "correlated", "", false, compile, true};

}  // namespace faultline
