// loss, model all: a black hole.
#include "impair/loss.hpp"

namespace faultline {
namespace {

struct Everything {
  LossAction action = LossAction::kDrop;
};

void decide(const Parameters& parameters, Asked&, JudgedBurst& burst, const Selection& selection,
            ImpairmentTally&) noexcept {
  const LossAction action = parameters.as<Everything>().action;
  for (std::uint32_t turn = 0; turn < selection.count; ++turn)
    lose(action, burst, selection.position[turn]);
}

Explanation explain(const Parameters&, const Asked&, const JudgedBurst&, std::uint8_t) {
  return {{}, {}, "everything is lost"};
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext&,
                                          Problems& problems) {
  const std::size_t problems_before = problems.size();
  Everything everything;
  if (node.is_mapping()) {
    MappingReader reader(node, "loss", problems);
    reader.take("model");
    everything.action = read_loss_action(reader, problems);
    reader.finish();
  }
  if (problems.size() != problems_before)
    return std::nullopt;
  return CompiledImpairment{.parameters = Parameters::from(everything),
                            .decide = decide,
                            .explain = explain,
                            .drops = true,
                            .cuts = everything.action == LossAction::kDrop,
                            .loss = LossShare{1, 0}};
}

}  // namespace

extern const ImpairmentModel kModel_loss_all;
const ImpairmentModel kModel_loss_all{"loss", "all", "", false, compile, true};

}  // namespace faultline
