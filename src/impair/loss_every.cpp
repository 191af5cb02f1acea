// loss, model every: the matching packets number offset, offset + n, offset + 2n, …
#include "base/units.hpp"
#include "impair/loss.hpp"

namespace faultline {
namespace {

struct Every {
  std::uint64_t n = 1;
  std::uint64_t offset = 1;
  LossAction action = LossAction::kDrop;

  bool hits(std::uint64_t number) const noexcept {
    return number >= offset && (number - offset) % n == 0;
  }
};

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally&) noexcept {
  const Every every = parameters.as<Every>();
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    if (every.hits(asked.match_number[i]))
      lose(every.action, burst, i);
  }
}

Explanation explain(const Parameters&, const Asked& asked, const JudgedBurst&, std::uint8_t i) {
  return {{}, {}, "match number " + std::to_string(asked.match_number[i])};
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext&,
                                          Problems& problems) {
  const std::size_t problems_before = problems.size();
  Every every;
  MappingReader reader(node, "loss", problems);
  reader.take("model");
  every.action = read_loss_action(reader, problems);
  if (const ConfigNode* value = reader.require("n"))
    every.n = read_count(*value, {1, UINT64_MAX}, problems).value_or(1);
  every.offset = every.n;
  if (const ConfigNode* value = reader.take("offset"))
    every.offset = read_count(*value, {1, every.n}, problems).value_or(1);
  reader.finish();
  if (problems.size() != problems_before)
    return std::nullopt;
  return CompiledImpairment{.parameters = Parameters::from(every),
                            .decide = decide,
                            .explain = explain,
                            .uses_match_number = true,
                            .drops = true,
                            .owns_scope = true,
                            .loss = LossShare{1 / static_cast<double>(every.n), 0}};
}

}  // namespace

extern const ImpairmentModel kModel_loss_every;
const ImpairmentModel kModel_loss_every{"loss", "every", "", false, compile, true};

}  // namespace faultline
